"""fixmatch: rows without labels are learned from too, by what the network is sure of (Sohn 2020, 2001.07685).

For classes: where a weakly changed row is predicted with at least `threshold`, its strongly changed view has to get
that class. For values: the strong view has to get the weak one's value (consistency, as in the Pi-model, 1610.02242).
"""

import torch
from torch import Tensor, nn

from headstart.backbones.network import Network
from headstart.cells.cell import Cell, Fitted
from headstart.cells.tuning import tune_from_source
from headstart.modalities.image import augment, augment_strongly
from headstart.strategies.settings import WEAK_AND_STRONG
from headstart.training.accelerator import generator, seed_of
from headstart.training.quiet import without_statistics
from headstart.training.rows import ImageRows


def fit(cell: Cell) -> Fitted:
    """Fine-tunes everything from W on labelled and unlabelled rows; where there is none of those, as `full` does."""
    count = min(cell.recipe.unlabelled_batch, len(cell.unlabelled_rows))
    return tune_from_source(
        cell,
        layer_decay=cell.recipe.layer_decay,
        term=(lambda network: Unlabelled(cell)) if count else None,
        rows_beside=count * WEAK_AND_STRONG,
    )


class Unlabelled:
    """`weight` times the loss of the strong views against what is predicted of the weak ones."""

    def __init__(self, cell: Cell):
        self.module = nn.Module()
        self._rows = ImageRows(cell.images(cell.unlabelled_rows), cell.source_card.normalisation)
        self._objective, self._accelerator, self._recipe = cell.objective, cell.accelerator, cell.recipe
        self._seed = seed_of(cell.job.run_seed, "unlabelled", cell.job.seed)

    def loss(self, network: Network, features: Tensor, targets: Tensor, step: int) -> Tensor:
        draw = generator(self._seed, step)
        size = min(self._recipe.unlabelled_batch, len(self._rows))
        batch = torch.randperm(len(self._rows), generator=draw)[:size]
        images = self._rows.plain(batch)
        weak = self._accelerator.place(augment(images, draw))
        strong = self._accelerator.place(augment_strongly(images, draw))
        with without_statistics(network):
            with torch.no_grad():
                believed = self._objective.predict(network(weak))
            scores = network(strong)
        disagreement = self._objective.consistency(scores, believed, threshold=self._recipe.threshold)
        return disagreement * float(self._recipe.weight)
