"""frozen_blocks: the first blocks are fixed to W and the rest is trained on (the article's step 2).

What the fixed blocks compute never changes, so it is read from features/: several augmented views of each row.
"""

import numpy as np

from headstart.cells.cell import Cell, Fitted
from headstart.cells.tuning import Inputs, tune
from headstart.datasets.pack import POOL
from headstart.features.files import BOUNDARY, VIEWS
from headstart.training.flops import forward_flops
from headstart.training.rows import ActivationRows


def fit(cell: Cell) -> Fitted:
    """Trains from the boundary on; the fixed blocks, BatchNorm statistics included, stay W's to the bit."""
    card = cell.source_card
    boundary = cell.recipe.fixed_blocks

    views = cell.features(VIEWS).shape[1]
    inputs = Inputs(
        train=_rows(cell, cell.train_rows, augmented=cell.recipe.augment),
        validation=_rows(cell, cell.validation_rows),
        test=_rows(cell, cell.test_rows),
    )
    return tune(
        cell,
        cell.network_from_source,
        inputs,
        normalisation=card.normalisation,
        boundary=boundary,
        extra_compute=forward_flops(cell.flops, examples=len(cell.train_rows) * views, stop=boundary),
        pretraining_compute=card.flops,
    )


def _rows(cell: Cell, rows: np.ndarray, *, augmented: bool = False) -> ActivationRows:
    plain = cell.features(BOUNDARY)[rows]
    if not augmented:
        return ActivationRows(plain, plain[:, None])
    position = {int(row): place for place, row in enumerate(cell.pack.rows(POOL))}
    return ActivationRows(plain, cell.features(VIEWS)[[position[int(row)] for row in rows]])
