"""l2_sp: all blocks are trained on from W and pulled back to it (Li 2018, 1802.01483).

The starting point is a prior: alpha/2 |w - w0|^2 is added to the loss over the blocks, beta/2 |w|^2 over the new head.
It takes the place of weight decay.
"""

import torch
from torch import Tensor, nn

from headstart.backbones.network import Network
from headstart.cells.cell import Cell, Fitted
from headstart.cells.tuning import tune_from_source


def fit(cell: Cell) -> Fitted:
    """Fine-tunes everything at one rate for all blocks: the pull is what holds the early ones."""
    recipe = cell.recipe
    return tune_from_source(cell, term=lambda network: StartingPoint(network, alpha=recipe.alpha, beta=recipe.beta))


class StartingPoint:
    """alpha/2 |w - w0|^2 over the blocks' parameters, beta/2 |w|^2 over the head's, norms and biases included."""

    def __init__(self, network: Network, *, alpha: float, beta: float):
        self.module = nn.Module()
        self.alpha, self.beta = alpha, beta
        self._start = [parameter.detach().clone() for parameter in network.blocks.parameters()]

    def loss(self, network: Network, features: Tensor, targets: Tensor, step: int) -> Tensor:
        moved = torch.stack(
            [((now - start) ** 2).sum() for now, start in zip(network.blocks.parameters(), self._start, strict=True)]
        ).sum()
        head = torch.stack([(parameter**2).sum() for parameter in network.head.parameters()]).sum()
        return self.alpha / 2 * moved + self.beta / 2 * head
