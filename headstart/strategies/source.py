"""source: the source model as it is, with nothing trained: what transfer has to beat on the other side."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from headstart.cells.cell import Cell, Fitted, Snapshot
from headstart.features.files import POOLED
from headstart.objectives import classification
from headstart.training.flops import forward_flops


def fit(cell: Cell) -> Fitted:
    """W's own head where it knows all target classes; else the nearest class mean on W's features."""
    known = set(cell.classes) <= set(cell.source_card.classes)
    return _own_head(cell) if known else _nearest_mean(cell)


def _own_head(cell: Cell) -> Fitted:
    """Each target class takes the head's row of that name: no label of the target is used."""
    source = cell.source_card.classes
    rows = [source.index(name) for name in cell.classes]
    head = cell.source_network.head
    weight, bias = head.weight.detach()[rows], head.bias.detach()[rows]

    def predict(features: Tensor) -> Tensor:
        return classification.probabilities(features[:, : weight.shape[1]] @ weight.T + bias)

    tensors = cell.source_network.state_dict() | {"head.weight": weight, "head.bias": bias}
    return _fitted(cell, predict, tensors, kind="network")


def _nearest_mean(cell: Cell) -> Fitted:
    """SimpleShot's CL2N (1911.04623): centred on the SOURCE's mean, L2-normalised, nearest class mean.

    Where W came without source rows there is nothing to centre on: L2N of the same paper.
    """
    rows = torch.from_numpy(np.array(cell.features(POOLED, of="source")))
    centre = rows.mean(0) if len(rows) else torch.zeros(rows.shape[1])
    train = _centred(_features(cell, cell.train_rows), centre)
    means = classification.class_means(train, cell.train_labels, len(cell.classes))
    temperature = classification.calibrate(nearness(train, means), cell.train_labels)

    def predict(features: Tensor) -> Tensor:
        return classification.probabilities(nearness(_centred(features, centre), means) / temperature)

    body = {f"blocks.{key}": value for key, value in cell.source_network.blocks.state_dict().items()}
    tensors = body | {
        "means.centre": centre,
        "means.means": means,
        "means.temperature": torch.tensor([temperature]),
    }
    return _fitted(cell, predict, tensors, kind="means")


def nearness(features: Tensor, means: Tensor) -> Tensor:
    """Scores (rows, classes): minus the squared distance to each class mean."""
    return -(torch.cdist(features, means) ** 2)


def _centred(features: Tensor, centre: Tensor) -> Tensor:
    return normalize(features - centre, dim=1)


def _features(cell: Cell, rows: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(cell.features(POOLED)[rows]))


def _fitted(cell: Cell, predict: Callable[[Tensor], Tensor], tensors: dict[str, Tensor], *, kind: str) -> Fitted:
    held = predict(_features(cell, cell.validation_rows))
    score = classification.accuracy(held, cell.validation_labels)
    return Fitted(
        snapshots=(Snapshot(1.0, predict(_features(cell, cell.test_rows)), held),),
        train=predict(_features(cell, cell.train_rows)),
        tensors=tensors,
        kind=kind,
        normalisation=cell.source_card.normalisation,
        levels=cell.job.levels,
        history=((1, "validation", "accuracy", score),),
        compute=0.0 if kind == "network" else forward_flops(cell.flops, examples=len(cell.train_rows)),
        pretraining_compute=cell.source_card.flops,
    )
