"""linear_probe: a ridge head in closed form on W's pooled features; nothing of W is trained."""

import numpy as np
import torch
from torch import Tensor

from headstart.cells.cell import Cell, Fitted, Snapshot
from headstart.features.files import POOLED
from headstart.training.flops import forward_flops

PENALTIES = 17  # tried, evenly spaced in the logarithm


def fit(cell: Cell) -> Fitted:
    """Solves the head for the penalty with the least exact leave-one-out error, and calibrates it."""
    features = torch.from_numpy(np.array(cell.features(POOLED))).double()
    train, validation, test = (
        features[torch.from_numpy(rows)] for rows in (cell.train_rows, cell.validation_rows, cell.test_rows)
    )
    objective = cell.objective
    weight, bias, left_out = ridge(
        train,
        objective.ridge_targets(cell.train_labels),
        smallest=cell.recipe.smallest_penalty,
        largest=cell.recipe.largest_penalty,
    )
    temperature = objective.calibrate(left_out, cell.train_labels)
    weight, bias = weight / temperature, bias / temperature

    def predict(rows: Tensor) -> Tensor:
        return objective.predict(rows @ weight.T + bias).float()

    card, body = cell.source_card, cell.source_network
    held = predict(validation)
    score = objective.kind.value(objective.score(held, cell.validation_labels))
    return Fitted(
        snapshots=(Snapshot(1.0, predict(test), held),),
        train=predict(train),
        tensors={f"blocks.{key}": value for key, value in body.blocks.state_dict().items()}
        | {"probe.weight": weight.float(), "probe.bias": bias.float()},
        kind="probe",
        normalisation=card.normalisation,
        levels=cell.job.levels,
        history=((1, "validation", objective.kind.metric, score),),
        compute=forward_flops(cell.flops, examples=len(cell.train_rows)),
        pretraining_compute=card.flops,
    )


def ridge(features: Tensor, targets: Tensor, *, smallest: float, largest: float) -> tuple[Tensor, Tensor, Tensor]:
    """Ridge regression with an unpenalised intercept, its penalty chosen by exact leave-one-out error.

    features: (rows, d) float64, targets: (rows, outputs) float64. Penalties are relative to the mean eigenvalue.
    Returns weight (outputs, d), bias (outputs,) and the left-out predictions (rows, outputs) at that penalty.
    One eigendecomposition of the rows' Gram matrix serves all penalties; the left-out residual of a row is its
    residual over one minus its leverage (Allen 1974's PRESS).
    """
    centre, middle = features.mean(0), targets.mean(0)
    x, y = features - centre, targets - middle
    values, vectors = torch.linalg.eigh(x @ x.T)  # (rows,), (rows, rows)
    values = values.clamp_min(0)
    scale = values.mean().clamp_min(1e-12)  # features that do not vary get no weight
    projected = vectors.T @ y
    best: tuple[float, Tensor, Tensor] | None = None
    for exponent in np.linspace(np.log10(smallest), np.log10(largest), PENALTIES):
        penalty = scale * 10.0**exponent
        shrink = values / (values + penalty)
        fitted = vectors @ (shrink[:, None] * projected)
        leverage = (vectors**2 @ shrink) + 1 / len(x)  # the intercept's share is 1 / rows
        left_out = targets - (y - fitted) / (1 - leverage).clamp_min(1e-9)[:, None]
        error = float(((targets - left_out) ** 2).mean())
        if best is None or error < best[0]:
            weight = (x.T @ (vectors @ (projected / (values + penalty)[:, None]))).T
            best = (error, weight, left_out)
    assert best is not None
    return best[1], middle - best[1] @ centre, best[2]
