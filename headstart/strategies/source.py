"""source: the source model as it is, with nothing trained: what transfer has to beat on the other side."""

from dataclasses import replace

from torch import Tensor

from headstart.cells.cell import Cell, Fitted
from headstart.cells.vectors import fitted, nearest, vectors
from headstart.objectives.objective import Objective


def fit(cell: Cell) -> Fitted:
    """W's own head where it answers the target's question; else what is nearest on W's features.

    It does where it knows all target classes, or predicts values in the same unit. Nearest are the class mean
    (SimpleShot's CL2N, 1911.04623), or for values the labelled rows (objectives/regression.py).
    """
    own = cell.objective.own_head(cell.source_network.head, cell.source_card)
    return nearest(cell) if own is None else _own_head(cell, *own)


def _own_head(cell: Cell, objective: Objective, weight: Tensor, bias: Tensor) -> Fitted:
    """No label of the target is used, and nothing is computed but predictions: probabilities stay W's own.

    Around values that W predicts there is an interval all the same; it changes none of them.
    """
    weight, bias = weight.double(), bias.double()

    def score(vectors: Tensor) -> Tensor:
        return vectors[:, : weight.shape[1]] @ weight.T + bias

    found = fitted(cell, vectors(cell), score, {}, kind="network", compute=0.0, objective=objective, temperature=1.0)
    tensors = cell.source_network.state_dict() | {"head.weight": weight.float(), "head.bias": bias.float()}
    return replace(found, tensors=tensors, compute=0.0)
