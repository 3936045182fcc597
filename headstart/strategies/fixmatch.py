"""fixmatch: rows without labels are learned from too, by what the network is sure of (Sohn 2020, 2001.07685).

For classes: where a weakly changed row is predicted with at least `threshold`, its strongly changed view has to get
that class. For values: the strong view has to get the weak one's value (consistency, as in the Pi-model, 1610.02242).
"""

import torch
from torch import Tensor, nn

from headstart.backbones.network import Network
from headstart.cells.cell import Cell, Fitted
from headstart.cells.tuning import image_inputs, tune
from headstart.modalities.image import augment, augment_strongly
from headstart.training.accelerator import generator, seed_of
from headstart.training.flops import forward_flops, training_flops
from headstart.training.quiet import without_statistics
from headstart.training.rows import ImageRows, Normalisation


def fit(cell: Cell) -> Fitted:
    """Fine-tunes everything from W on labelled and unlabelled rows; where there is none of those, as `full` does."""
    card = cell.source_card
    normalisation = card.normalisation
    recipe = cell.recipe
    seen = recipe.steps * recipe.unlabelled_batch * len(recipe.learning_rates) if len(cell.unlabelled_rows) else 0
    return tune(
        cell,
        cell.network_from_source,
        image_inputs(cell, normalisation),
        normalisation=normalisation,
        layer_decay=recipe.layer_decay,
        term=(lambda network: Unlabelled(cell, normalisation)) if seen else None,
        extra_compute=forward_flops(cell.flops, examples=seen) + training_flops(cell.flops, examples=seen),
        pretraining_compute=card.flops,
    )


class Unlabelled:
    """`weight` times the loss of the strong views against what is predicted of the weak ones."""

    def __init__(self, cell: Cell, normalisation: Normalisation):
        self.module = nn.Module()
        self._rows = ImageRows(cell.images(cell.unlabelled_rows), normalisation)
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
        unsure = self._objective.consistency(scores, believed, threshold=self._recipe.threshold)
        return unsure * float(self._recipe.weight)
