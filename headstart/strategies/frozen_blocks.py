"""frozen_blocks: the first blocks are fixed to W and the rest is trained on (the article's step 2).

What the fixed blocks compute never changes, so it is read from features/: several augmented views of each row. Where
extract wrote none (for another number of fixed blocks, or because they take more than extract.activations_gb) it is
computed here, once a cell; and where that is too much for memory too, batch by batch.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from headstart.cells.cell import Cell, Fitted
from headstart.cells.tuning import Inputs, tune
from headstart.datasets.pack import POOL
from headstart.features.boundary import BoundaryRows, boundary_of
from headstart.features.files import BOUNDARY, VIEWS
from headstart.training.accelerator import generator
from headstart.training.flops import forward_flops
from headstart.training.rows import ActivationRows, Rows

BATCH = 256
IN_MEMORY = 2e9  # bytes of activations that a cell keeps at most; cells run side by side, one a core


def fit(cell: Cell) -> Fitted:
    """Trains from the boundary on; the fixed blocks, BatchNorm statistics included, stay W's to the bit."""
    card = cell.source_card
    boundary = cell.recipe.fixed_blocks
    if boundary == cell.job.boundary and cell.has_features(BOUNDARY):
        rows: Callable[..., Rows] = _read
    else:
        rows = partial(_computed, keep=_fits(cell))
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
        extra_compute=forward_flops(cell.flops, examples=_run_forward(cell, inputs.train), stop=boundary),
        pretraining_compute=card.flops,
    )


def _run_forward(cell: Cell, rows: Rows) -> int:
    """Images that go through the fixed blocks: each view once, or each batch."""
    recipe = cell.recipe
    if isinstance(rows, BoundaryRows):
        return int(recipe.steps * min(recipe.batch_size, len(rows)) * len(recipe.learning_rates))
    return len(rows) * cell.job.views


def _read(cell: Cell, rows: np.ndarray, *, augmented: bool = False) -> ActivationRows:
    plain = cell.features(BOUNDARY)[rows]
    if not augmented:
        return ActivationRows(plain, plain[:, None])
    position = {int(row): place for place, row in enumerate(cell.pack.rows(POOL))}
    return ActivationRows(plain, cell.features(VIEWS)[[position[int(row)] for row in rows]])


@torch.no_grad()
def _fits(cell: Cell) -> bool:
    """Whether the activations of all its rows, and of the views of those that it is trained on, may be kept."""
    run = boundary_of(cell.source_network, cell.recipe.fixed_blocks, accelerator=cell.accelerator, work=cell.work)
    inputs = cell.input_rows(cell.train_rows[:1], cell.source_card.normalisation)
    views = cell.job.views if cell.recipe.augment else 0
    count = len(cell.train_rows) * (1 + views) + len(cell.validation_rows) + len(cell.test_rows)
    return run(inputs.plain(torch.arange(1))).nbytes * count <= IN_MEMORY


def _computed(
    cell: Cell, rows: np.ndarray, *, augmented: bool = False, keep: bool = True
) -> ActivationRows | BoundaryRows:
    if not len(rows):  # not every backbone takes an empty batch
        return ActivationRows(np.zeros((0, 1), np.float32), np.zeros((0, 1, 1), np.float32))
    run = boundary_of(cell.source_network, cell.recipe.fixed_blocks, accelerator=cell.accelerator, work=cell.work)
    inputs = cell.input_rows(rows, cell.source_card.normalisation)
    parts = torch.split(torch.arange(len(rows)), BATCH)
    if not keep:
        return BoundaryRows(replace(inputs, augmented=augmented), run)
    plain = np.concatenate([run(inputs.plain(part)) for part in parts])
    if not augmented:
        return ActivationRows(plain, plain[:, None])
    seed = cell.job.run_seed
    views = [
        np.concatenate([run(inputs.batch(part, generator(seed, "view", view, n))) for n, part in enumerate(parts)])
        for view in range(cell.job.views)
    ]
    return ActivationRows(plain, np.stack(views, axis=1))
