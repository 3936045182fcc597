"""rotation: beside the labels, another task that needs none: how far a row was turned (Gidaris 2018, 1803.07728).

All the target's open rows take part, labelled or not; a head of its own answers 0, 90, 180 or 270 degrees.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from headstart.backbones.network import Network
from headstart.cells.cell import Cell, Fitted
from headstart.cells.tuning import tune_from_source
from headstart.training.accelerator import generator, seed_of
from headstart.training.quiet import without_statistics

TURNS = 4


def fit(cell: Cell) -> Fitted:
    """Fine-tunes everything from W on both tasks at once."""
    return tune_from_source(
        cell,
        layer_decay=cell.recipe.layer_decay,
        term=lambda network: Turned(cell, network.feature_dim),
        rows_beside=min(cell.recipe.unlabelled_batch, len(open_rows(cell))),
    )


def open_rows(cell: Cell) -> NDArray[np.intp]:
    """The target's rows but those that are scored or held out, labelled or not."""
    return np.sort(np.concatenate([cell.train_rows, cell.unlabelled_rows]))


class Turned:
    """`weight` times the cross-entropy of saying how far each row of a batch was turned."""

    def __init__(self, cell: Cell, width: int):
        self.module = nn.Linear(width, TURNS)
        normalisation = cell.source_card.normalisation
        self._rows = cell.input_rows(open_rows(cell), normalisation, augmented=cell.recipe.augment)
        self._accelerator, self._recipe = cell.accelerator, cell.recipe
        self._seed = seed_of(cell.job.run_seed, "turned", cell.job.seed)

    def loss(self, network: Network, features: Tensor, targets: Tensor, step: int) -> Tensor:
        draw = generator(self._seed, step)
        size = min(self._recipe.unlabelled_batch, len(self._rows))
        batch = torch.randperm(len(self._rows), generator=draw)[:size]
        turns = torch.randint(TURNS, (size,), generator=draw)
        images = turned(self._rows.batch(batch, draw), turns)
        with without_statistics(network):
            seen = network.run(self._accelerator.place(images), 0, len(network.blocks))
        return functional.cross_entropy(self.module(seen), turns.to(seen.device)) * float(self._recipe.weight)


def turned(images: Tensor, turns: Tensor) -> Tensor:
    """Each square image (batch, channels, side, side) turned by so many quarters, turns (batch,)."""
    return torch.stack([torch.rot90(image, int(turn), (1, 2)) for image, turn in zip(images, turns, strict=True)])
