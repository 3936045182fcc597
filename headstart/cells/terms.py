"""What several strategies add to the loss of each step: the source's own rows, and target rows without a label."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headstart.backbones.network import Network
from headstart.cells.cell import Cell
from headstart.datasets.pack import POOL
from headstart.objectives.objective import source_objective_of
from headstart.training.accelerator import generator, seed_of
from headstart.training.loop import Term
from headstart.training.quiet import without_statistics
from headstart.training.rows import InputRows


class SourceRows:
    """The source's loss on a batch of its own rows, under a head of its own that starts from W's.

    Statistics of BatchNorm stay the target's: each domain is normalised by its own batch (AdaBN, 1603.04779).
    align: weight of the distance of its features' moments from the target's.
    """

    def __init__(self, cell: Cell, *, align: float = 0.0):
        pack, head, recipe = cell.source_pack, cell.source_network.head, cell.recipe
        self.module = nn.Linear(head.in_features, head.out_features)
        self.module.load_state_dict(head.state_dict())
        places = _some(pack.rows(POOL), recipe.source_rows, seed=seed_of(cell.job.run_seed, "source", cell.job.seed))
        self._objective = source_objective_of(cell.source_card)
        self._targets = self._objective.targets(pack, places)
        self._rows = InputRows(pack.inputs, cell.source_card.normalisation, pack.card.modality, recipe.augment, places)
        self._accelerator, self._recipe, self._align = cell.accelerator, recipe, align
        self._seed = seed_of(cell.job.run_seed, "train", cell.job.seed)

    def loss(self, network: Network, features: Tensor, targets: Tensor, step: int) -> Tensor:
        draw = generator(self._seed, "source", step)
        batch = torch.randint(len(self._rows), (self._recipe.source_batch,), generator=draw)
        inputs = self._accelerator.place(self._rows.batch(batch, draw))
        with without_statistics(network):
            own = network.run(inputs, 0, len(network.blocks))
        wanted = self._targets[batch].to(own.device)
        known = self._objective.loss(self.module(own), wanted) * float(self._recipe.source_weight)
        return known + deep_coral(own, features) * float(self._align) if self._align else known


class Unlabelled:
    """`weight` times the loss of the strong views against what is predicted of the weak ones.

    For classes: where a weakly changed row is predicted with at least `threshold`, its strongly changed view has to get
    that class (FixMatch, Sohn 2020, 2001.07685). For values: the strong view has to get the weak one's value
    (consistency, as in the Pi-model, 1610.02242).
    """

    def __init__(self, cell: Cell):
        self.module = nn.Module()
        self._modality = cell.pack.card.row_kind.load()
        self._rows = cell.input_rows(cell.unlabelled_rows, cell.source_card.normalisation)
        self._objective, self._accelerator, self._recipe = cell.objective, cell.accelerator, cell.recipe
        self._seed = seed_of(cell.job.run_seed, "unlabelled", cell.job.seed)

    def loss(self, network: Network, features: Tensor, targets: Tensor, step: int) -> Tensor:
        draw = generator(self._seed, step)
        size = min(self._recipe.unlabelled_batch, len(self._rows))
        batch = torch.randperm(len(self._rows), generator=draw)[:size]
        inputs = self._rows.plain(batch)
        weak = self._accelerator.place(self._modality.augment(inputs, draw))
        strong = self._accelerator.place(self._modality.augment_strongly(inputs, draw))
        with without_statistics(network):
            with torch.no_grad():
                believed = self._objective.predict(network(weak))
            scores = network(strong)
        disagreement = self._objective.consistency(scores, believed, threshold=self._recipe.threshold)
        return disagreement * float(self._recipe.weight)


def unlabelled_batch(cell: Cell) -> int:
    """Rows without a label that a step can have; 0 where there is none."""
    wanted: int = cell.recipe.unlabelled_batch
    return min(wanted, len(cell.unlabelled_rows))


class Sum:
    """Several terms as one."""

    def __init__(self, terms: Sequence[Term]):
        self._terms = terms
        self.module = nn.ModuleList([term.module for term in terms])

    def loss(self, network: Network, features: Tensor, targets: Tensor, step: int) -> Tensor:
        return torch.stack([term.loss(network, features, targets, step) for term in self._terms]).sum()


def deep_coral(source: Tensor, target: Tensor) -> Tensor:
    """|Cs - Ct|^2 / 4 d^2 of features (rows, d): the squared distance of their covariances."""
    difference = torch.cov(source.T) - torch.cov(target.T)
    return (difference**2).sum() / (4 * source.shape[1] ** 2)


def _some(rows: NDArray[np.intp], wanted: int, *, seed: int) -> NDArray[np.intp]:
    """So many of the rows, drawn by the seed; all of them where 0 are wanted."""
    if not wanted or wanted >= len(rows):
        return rows
    return np.sort(np.random.default_rng(seed).permutation(rows)[:wanted])
