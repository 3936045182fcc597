"""frozen_blocks: the first blocks are fixed to W and the rest is trained on (the article's step 2).

What the fixed blocks compute never changes, so it is read from features/: several augmented views of each row. For
another number of fixed blocks than extract was told it is computed here, once a cell.
"""

import numpy as np
import torch

from headstart.cells.cell import Cell, Fitted
from headstart.cells.tuning import Inputs, tune
from headstart.datasets.pack import POOL
from headstart.features.boundary import boundary_of
from headstart.features.files import BOUNDARY, VIEWS
from headstart.training.accelerator import generator
from headstart.training.flops import forward_flops
from headstart.training.rows import ActivationRows

BATCH = 256


def fit(cell: Cell) -> Fitted:
    """Trains from the boundary on; the fixed blocks, BatchNorm statistics included, stay W's to the bit."""
    card = cell.source_card
    boundary = cell.recipe.fixed_blocks
    rows = _read if boundary == cell.job.boundary else _computed
    inputs = Inputs(
        train=rows(cell, cell.train_rows, augmented=cell.recipe.augment),
        validation=rows(cell, cell.validation_rows),
        test=rows(cell, cell.test_rows),
    )
    return tune(
        cell,
        cell.network_from_source,
        inputs,
        normalisation=card.normalisation,
        boundary=boundary,
        extra_compute=forward_flops(cell.flops, examples=len(cell.train_rows) * cell.job.views, stop=boundary),
        pretraining_compute=card.flops,
    )


def _read(cell: Cell, rows: np.ndarray, *, augmented: bool = False) -> ActivationRows:
    plain = cell.features(BOUNDARY)[rows]
    if not augmented:
        return ActivationRows(plain, plain[:, None])
    position = {int(row): place for place, row in enumerate(cell.pack.rows(POOL))}
    return ActivationRows(plain, cell.features(VIEWS)[[position[int(row)] for row in rows]])


@torch.no_grad()
def _computed(cell: Cell, rows: np.ndarray, *, augmented: bool = False) -> ActivationRows:
    if not len(rows):  # not every backbone takes an empty batch
        return ActivationRows(np.zeros((0, 1), np.float32), np.zeros((0, 1, 1), np.float32))
    run = boundary_of(cell.source_network, cell.recipe.fixed_blocks, accelerator=cell.accelerator, work=cell.work)
    images = cell.image_rows(rows, cell.source_card.normalisation)
    parts = torch.split(torch.arange(len(rows)), BATCH)
    plain = np.concatenate([run(images.plain(part)) for part in parts])
    if not augmented:
        return ActivationRows(plain, plain[:, None])
    seed = cell.job.run_seed
    views = [
        np.concatenate([run(images.batch(part, generator(seed, "view", view, n))) for n, part in enumerate(parts)])
        for view in range(cell.job.views)
    ]
    return ActivationRows(plain, np.stack(views, axis=1))
