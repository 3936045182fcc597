"""The probe that a training may begin with: a ridge head on the last level of W's features (lp_ft, wise_ft)."""

import numpy as np
import torch

from headstart.backbones.network import Network
from headstart.cells.cell import Cell
from headstart.cells.ridge import Solved, solve_head
from headstart.features.files import POOLED


def solve_probe(cell: Cell) -> Solved:
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


def network_from_probe(cell: Cell, head: Solved) -> Network:
    """W's blocks under that head."""
    network = cell.network_from_source()
    with torch.no_grad():
        network.head.weight.copy_(head.weight)
        network.head.bias.copy_(head.bias)
    return network
