"""What the strategies whose head is solved for share: ridge regression in closed form, and its calibration."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from headstart.objectives.objective import Objective

PENALTIES = 17  # tried, evenly spaced in the logarithm


@dataclass(frozen=True)
class Solved:
    """A linear head: weight (outputs, d), bias (outputs,), float64. compute: FLOPs of the solution.

    temperature: that both were divided by, so that its scores are as sure as they may be.
    """

    weight: Tensor
    bias: Tensor
    compute: float
    temperature: float = 1.0


def solve_head(features: Tensor, targets: Tensor, *, objective: Objective, smallest: float, largest: float) -> Solved:
    """The head for the penalty with the least exact leave-one-out error, its scores calibrated on what was left out.

    features: (rows, d) float64 of the training rows. Calibrated scores are on the scale that the loss asks for.
    """
    wanted = objective.ridge_targets(targets)
    weight, bias, left_out = ridge(features, wanted, smallest=smallest, largest=largest)
    temperature = objective.calibrate(left_out, targets)
    compute = ridge_flops(*features.shape, outputs=wanted.shape[1])
    return Solved(weight / temperature, bias / temperature, compute, temperature)


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


def weighted_ridge(
    features: Tensor, targets: Tensor, weights: Tensor, *, smallest: float, largest: float
) -> Iterator[tuple[Tensor, Tensor]]:
    """Ridge regression of weighted rows: weight (outputs, d) and bias (outputs,) at each of `PENALTIES` penalties.

    features: (rows, d) float64, targets: (rows, outputs) float64, weights: (rows,), 1 in all. Penalties are relative
    to the mean eigenvalue, the intercept is unpenalised. One eigendecomposition of the features' scatter serves all.
    """
    centre, middle = weights @ features, weights @ targets
    x, y = features - centre, targets - middle
    values, vectors = torch.linalg.eigh(x.T @ (weights[:, None] * x))  # (d,), (d, d)
    values = values.clamp_min(0)
    scale = values.mean().clamp_min(1e-12)
    projected = vectors.T @ (x.T @ (weights[:, None] * y))  # (d, outputs)
    for exponent in np.linspace(np.log10(smallest), np.log10(largest), PENALTIES):
        weight = (vectors @ (projected / (values + scale * 10.0**exponent)[:, None])).T
        yield weight, middle - weight @ centre


def ridge_flops(rows: int, width: int, *, outputs: int) -> float:
    """Arithmetic of `ridge`: the Gram matrix, its eigenvectors (9 n^3, Golub and Van Loan), a fit for each penalty."""
    gram, eigen = 2.0 * rows**2 * width, 9.0 * rows**3
    each = 2.0 * rows**2 * (outputs + 1)
    return gram + eigen + 2.0 * rows**2 * outputs + PENALTIES * each + 2.0 * rows * (rows + width) * outputs
