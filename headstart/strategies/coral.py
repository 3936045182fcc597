"""coral: the SOURCE's vectors are mapped into the target's space, and a linear head is solved for on both.

The article's feature-vector family: labelled source vectors stand in for the labels that the target lacks. With a
share of 0 for the target's own labels, none of them is used to fit the head.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from headstart.cells.cell import Cell, Fitted
from headstart.cells.ridge import weighted_ridge
from headstart.cells.vectors import Vectors, linear, source_vectors, vectors
from headstart.features.files import POOLED


@dataclass(frozen=True)
class _Head:
    weight: Tensor
    bias: Tensor
    temperature: float
    score: float
    loss: float


def fit(cell: Cell) -> Fitted:
    """Aligns the domains by all rows outside of the test rows, and chooses share and penalty on validation rows."""
    rows, objective, recipe = vectors(cell), cell.objective, cell.recipe
    places, targets = objective.shared(cell.source_pack)
    mapped = align(source_vectors(cell), _open_vectors(cell))[torch.from_numpy(places)]
    features = torch.cat([mapped, rows.train])
    wanted = torch.cat([objective.ridge_targets(targets), objective.ridge_targets(cell.train_labels)])
    heads = [
        _judge(cell, rows, weight, bias)
        for share in recipe.target_shares
        for weight, bias in weighted_ridge(
            features,
            wanted,
            _weights(len(mapped), len(rows.train), share),
            smallest=recipe.smallest_penalty,
            largest=recipe.largest_penalty,
        )
    ]
    best = max(heads, key=lambda head: (head.score, -head.loss))
    width = features.shape[1]
    solved = (2.0 * len(features) * width**2 + 9.0 * width**3) * len(recipe.target_shares)
    compute = solved + 2 * (9.0 * width**3)
    return linear(cell, rows, best.weight, best.bias, compute=compute, temperature=best.temperature)


def align(source: Tensor, target: Tensor) -> Tensor:
    """The source's vectors with the mean and the covariance of the target's (CORAL, Sun 2016, 1511.05547).

    source (rows, d), target (rows, d), float64. (x - mean_s) Cs^-1/2 Ct^1/2 + mean_t; both covariances are shrunk as
    Ledoit and Wolf (2004) have it, which takes the place of the paper's identity matrix added to each.
    """
    whiten, colour = _power(_covariance(source), -0.5), _power(_covariance(target), 0.5)
    return (source - source.mean(0)) @ whiten @ colour + target.mean(0)


def _covariance(vectors: Tensor) -> Tensor:
    from sklearn.covariance import ledoit_wolf

    return torch.from_numpy(np.asarray(ledoit_wolf(vectors.numpy())[0]))


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """A power of a symmetric positive matrix; directions without any variance are left out."""
    values, vectors = torch.linalg.eigh(matrix)
    kept = values > values.max() * 1e-10
    raised: Tensor = (vectors[:, kept] * torch.pow(values[kept], exponent)) @ vectors[:, kept].T
    return raised


def _open_vectors(cell: Cell) -> Tensor:
    """Vectors of the target's rows that are not test rows; their labels play no part."""
    open_rows = np.sort(np.concatenate([cell.train_rows, cell.validation_rows, cell.unlabelled_rows]))
    return torch.from_numpy(np.ascontiguousarray(cell.features(POOLED)[open_rows])).double()


def _weights(source: int, target: int, share: float) -> Tensor:
    """Weights of the rows, 1 in all, of which the target's have a share."""
    parts = [torch.full((source,), (1 - share) / source), torch.full((target,), share / target)]
    return torch.cat(parts).double()


def _judge(cell: Cell, rows: Vectors, weight: Tensor, bias: Tensor) -> _Head:
    """A head with its scores calibrated, and how well it does, on the validation rows."""
    objective, labels = cell.objective, cell.validation_labels
    temperature = objective.calibrate(rows.validation @ weight.T + bias, labels)
    weight, bias = weight / temperature, bias / temperature
    predictions = objective.predict(rows.validation @ weight.T + bias)
    score, loss = objective.score(predictions, labels), objective.held_out_loss(predictions, labels)
    return _Head(weight, bias, temperature, score, loss)
