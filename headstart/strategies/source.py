"""source: the source model as it is, with nothing trained: what transfer has to beat on the other side."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from headstart.cells.cell import Cell, Fitted, Snapshot
from headstart.features.files import POOLED
from headstart.objectives.objective import Objective
from headstart.training.flops import forward_flops


def fit(cell: Cell) -> Fitted:
    """W's own head where it answers the target's question; else what is nearest on W's features.

    It does where it knows all target classes, or predicts values in the same unit. Nearest are the class mean
    (SimpleShot's CL2N, 1911.04623), or for values the labelled rows (objectives/regression.py).
    """
    own = cell.objective.own_head(cell.source_network.head, cell.source_card)
    return _nearest(cell) if own is None else _own_head(cell, *own)


def _own_head(cell: Cell, objective: Objective, weight: Tensor, bias: Tensor) -> Fitted:
    """No label of the target is used."""

    def predict(features: Tensor) -> Tensor:
        return objective.predict(features[:, : weight.shape[1]] @ weight.T + bias)

    tensors = cell.source_network.state_dict() | {"head.weight": weight, "head.bias": bias}
    return _fitted(cell, predict, tensors, kind="network", objective=objective)


def _nearest(cell: Cell) -> Fitted:
    """On features that are centred on the SOURCE's mean and L2-normalised.

    Where W came without source rows there is nothing to centre on: for classes that is L2N of the same paper.
    """
    rows = torch.from_numpy(np.array(cell.features(POOLED, of="source")))
    centre = rows.mean(0) if len(rows) else torch.zeros(rows.shape[1])
    objective = cell.objective
    prototypes = objective.prototypes(_centred(_features(cell, cell.train_rows), centre), cell.train_labels)

    def predict(features: Tensor) -> Tensor:
        return objective.predict(objective.from_prototypes(_centred(features, centre), prototypes))

    kind = objective.prototype_kind
    tensors = {f"blocks.{key}": value for key, value in cell.source_network.blocks.state_dict().items()}
    tensors |= {f"{kind}.{name}": tensor for name, tensor in (prototypes | {"centre": centre}).items()}
    return _fitted(cell, predict, tensors, kind=kind, objective=objective)


def _centred(features: Tensor, centre: Tensor) -> Tensor:
    return normalize(features - centre, dim=1)


def _features(cell: Cell, rows: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(cell.features(POOLED)[rows]))


def _fitted(
    cell: Cell, predict: Callable[[Tensor], Tensor], tensors: dict[str, Tensor], *, kind: str, objective: Objective
) -> Fitted:
    held = predict(_features(cell, cell.validation_rows))
    score = objective.kind.value(objective.score(held, cell.validation_labels))
    return Fitted(
        snapshots=(Snapshot(1.0, predict(_features(cell, cell.test_rows)), held),),
        train=predict(_features(cell, cell.train_rows)),
        tensors=tensors,
        kind=kind,
        normalisation=cell.source_card.normalisation,
        levels=cell.job.levels,
        history=((1, "validation", objective.kind.metric, score),),
        compute=0.0 if kind == "network" else forward_flops(cell.flops, examples=len(cell.train_rows)),
        pretraining_compute=cell.source_card.flops,
        objective=objective,
    )
