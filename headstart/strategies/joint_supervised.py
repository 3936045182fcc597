"""joint_supervised: one extractor is trained on labelled source AND target rows together (the article's first family).

Two heads, one for each domain, on features of one size; deep CORAL (Sun 2016, 1607.01719) draws the domains' second
moments together. Its weakness is a source of few rows: `source_rows` says how many it may use.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headstart.backbones.network import Network
from headstart.cells.cell import Cell, Fitted
from headstart.cells.tuning import tune_from_source
from headstart.datasets.pack import POOL
from headstart.objectives.objective import Objective, objective_of
from headstart.training.accelerator import Accelerator, generator, seed_of
from headstart.training.quiet import without_statistics
from headstart.training.rows import ImageRows


def fit(cell: Cell) -> Fitted:
    """Trains on from W with both heads; the target's head alone is delivered."""
    return tune_from_source(
        cell,
        layer_decay=cell.recipe.layer_decay,
        term=lambda network: SourceRows(cell),
        rows_beside=cell.recipe.source_batch,
    )


class SourceRows:
    """The source's loss on a batch of its own rows, and the distance of its features' moments from the target's.

    Statistics of BatchNorm stay the target's: each domain is normalised by its own batch (AdaBN, 1603.04779).
    """

    def __init__(self, cell: Cell):
        pack, head, recipe = cell.source_pack, cell.source_network.head, cell.recipe
        self.module = nn.Linear(head.in_features, head.out_features)
        self.module.load_state_dict(head.state_dict())
        places = _some(pack.rows(POOL), recipe.source_rows, seed=seed_of(cell.job.run_seed, "source", cell.job.seed))
        self._objective: Objective = objective_of(cell.source_card)
        self._targets = self._objective.targets(pack, places)
        self._rows = ImageRows(pack.images[places], cell.source_card.normalisation, recipe.augment)
        self._accelerator: Accelerator = cell.accelerator
        self._recipe = recipe
        self._seed = seed_of(cell.job.run_seed, "train", cell.job.seed)

    def loss(self, network: Network, features: Tensor, targets: Tensor, step: int) -> Tensor:
        draw = generator(self._seed, "source", step)
        batch = torch.randint(len(self._rows), (self._recipe.source_batch,), generator=draw)
        images = self._accelerator.place(self._rows.batch(batch, draw))
        with without_statistics(network):
            own = network.run(images, 0, len(network.blocks))
        wanted = self._targets[batch].to(own.device)
        known = self._objective.loss(self.module(own), wanted) * float(self._recipe.source_weight)
        return known + deep_coral(own, features) * float(self._recipe.align)


def _some(rows: NDArray[np.intp], wanted: int, *, seed: int) -> NDArray[np.intp]:
    """So many of the rows, drawn by the seed; all of them where 0 are wanted."""
    if not wanted or wanted >= len(rows):
        return rows
    return np.sort(np.random.default_rng(seed).permutation(rows)[:wanted])


def deep_coral(source: Tensor, target: Tensor) -> Tensor:
    """|Cs - Ct|^2 / 4 d^2 of features (rows, d): the squared distance of their covariances."""
    difference = torch.cov(source.T) - torch.cov(target.T)
    return (difference**2).sum() / (4 * source.shape[1] ** 2)
