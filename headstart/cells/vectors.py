"""What the strategies on feature vectors share: the cell's rows as vectors under W, and what is made of their scores.

None of them trains a network: a row is W's pooled features (features/pooled.py), and a score is a function of those.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from headstart.cells.cell import Cell, Fitted, Snapshot
from headstart.features.files import POOLED
from headstart.objectives.objective import Objective
from headstart.training.flops import forward_flops

Score = Callable[[Tensor], Tensor]
BLOCK = 16_384  # rows of the source that are in memory at a time


@dataclass(frozen=True)
class Vectors:
    """The cell's rows as vectors, (rows, d) float64 each."""

    train: Tensor
    validation: Tensor
    test: Tensor

    def through(self, function: Callable[[Tensor], Tensor]) -> "Vectors":
        """Each part as the function makes it."""
        return Vectors(function(self.train), function(self.validation), function(self.test))


def vectors(cell: Cell) -> Vectors:
    """The target's rows under W, all levels that extract wrote."""
    features = cell.features(POOLED)
    parts = (cell.train_rows, cell.validation_rows, cell.test_rows)
    return Vectors(*(torch.from_numpy(np.ascontiguousarray(features[rows])).double() for rows in parts))


def source_vectors(cell: Cell) -> Tensor:
    """The source's rows under W, (rows, d) float64; none where W came without a dataset."""
    return torch.from_numpy(np.array(cell.features(POOLED, of="source"))).double()


def centre_of_source(cell: Cell) -> Tensor:
    """(d,): the mean of the source's vectors (SimpleShot's CL2N, 1911.04623).

    Where W came without source rows there is nothing to centre on: zero, which is L2N of the same paper.
    """
    vectors = cell.features(POOLED, of="source")
    total = torch.zeros(vectors.shape[1], dtype=torch.float64)
    for start in range(0, len(vectors), BLOCK):
        total += torch.from_numpy(np.array(vectors[start : start + BLOCK])).double().sum(0)
    return total / max(1, len(vectors))


def centred(vectors: Tensor, centre: Tensor) -> Tensor:
    """Vectors (rows, d) less the centre (d,), of unit length."""
    return normalize(vectors - centre, dim=1)


def fitted(
    cell: Cell,
    rows: Vectors,
    score: Score,
    head: dict[str, Tensor],
    *,
    kind: str,
    compute: float,
    objective: Objective | None = None,
    temperature: float | None = None,
) -> Fitted:
    """What a cell came to whose scores are a function of its vectors.

    head: the tensors that the function needs, by name; they are delivered with W's blocks, as `<kind>.<name>`.
    compute: FLOPs beside those of W on the training rows. objective: what scores mean, where it is not the cell's.
    temperature: that scores were divided by already: see Fitted.
    """
    meaning = objective or cell.objective
    train, held, test = (meaning.predict(score(part)).float() for part in (rows.train, rows.validation, rows.test))
    own = cell.objective.kind
    value = own.value(cell.objective.score(held, cell.validation_labels))
    body = {f"blocks.{key}": value for key, value in cell.source_network.blocks.state_dict().items()}
    return Fitted(
        snapshots=(Snapshot(1.0, test, held),),
        train=train,
        tensors=body | {f"{kind}.{name}": _as_delivered(tensor) for name, tensor in head.items()},
        kind=kind,
        normalisation=cell.source_card.normalisation,
        levels=cell.job.levels,
        history=((1, "validation", own.metric, value),),
        compute=forward_flops(cell.flops, examples=len(cell.train_rows)) + compute,
        pretraining_compute=cell.source_card.flops,
        objective=objective,
        temperature=temperature,
    )


def _as_delivered(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def linear(
    cell: Cell, rows: Vectors, weight: Tensor, bias: Tensor, *, compute: float, temperature: float | None = None
) -> Fitted:
    """What a cell came to whose scores are linear: weight (outputs, d), bias (outputs,)."""
    return fitted(
        cell,
        rows,
        lambda part: part @ weight.T + bias,
        {"weight": weight, "bias": bias},
        kind="probe",
        compute=compute,
        temperature=temperature,
    )


def nearest(cell: Cell) -> Fitted:
    """What is nearest on vectors that are centred on the source and of unit length: class means, or labelled rows."""
    centre, objective = centre_of_source(cell), cell.objective
    rows = vectors(cell)
    prototypes = objective.prototypes(centred(rows.train, centre), cell.train_labels)
    return fitted(
        cell,
        rows,
        lambda part: objective.from_prototypes(centred(part, centre), prototypes),
        prototypes | {"centre": centre},
        kind=objective.prototype_kind,
        compute=0.0,
    )
