"""lp_ft: probe, then all (Kumar 2022, 2202.10054): the head is solved for on W's features, then everything is trained.

A head that starts from nothing sends large gradients through good features while it is still wrong, and spoils them;
one that fits what W computes leaves them as they are, so that a low rate is enough.
"""

from collections.abc import Callable

import numpy as np
import torch

from headstart.backbones.network import Network
from headstart.cells.cell import Cell, Fitted
from headstart.cells.ridge import Solved, solve_head
from headstart.cells.tuning import image_inputs, tune
from headstart.features.files import POOLED
from headstart.training.flops import forward_flops


def fit(cell: Cell) -> Fitted:
    """Solves the head, then fine-tunes everything under the normalisation that W was trained with."""
    card = cell.source_card
    normalisation = card.normalisation
    head = _probe(cell)
    return tune(
        cell,
        _from_probe(cell, head),
        image_inputs(cell, normalisation),
        normalisation=normalisation,
        layer_decay=cell.recipe.layer_decay,
        extra_compute=forward_flops(cell.flops, examples=len(cell.train_rows)) + head.compute,
        pretraining_compute=card.flops,
    )


def _probe(cell: Cell) -> Solved:
    """linear_probe's head on the last level alone.

    That is all that a network's head sees: the pooled features begin with the last block's vector (features/pooled.py).
    """
    width = cell.source_network.feature_dim
    features = torch.from_numpy(np.array(cell.features(POOLED)[cell.train_rows, :width])).double()
    return solve_head(
        features,
        cell.train_labels,
        objective=cell.objective,
        smallest=cell.recipe.smallest_penalty,
        largest=cell.recipe.largest_penalty,
    )


def _from_probe(cell: Cell, head: Solved) -> Callable[[], Network]:
    """W's blocks under that head."""

    def start() -> Network:
        network = cell.network_from_source()
        with torch.no_grad():
            network.head.weight.copy_(head.weight)
            network.head.bias.copy_(head.bias)
        return network

    return start
