"""lda: linear discriminant analysis of W's vectors, with a shrunk covariance; no task model is trained."""

import torch
from torch import Tensor

from headstart.cells.cell import Cell, Fitted
from headstart.cells.vectors import linear, vectors
from headstart.objectives.classification import class_means

FOLDS = 5  # in which the scores are calibrated


def fit(cell: Cell) -> Fitted:
    """The classes as Gaussians of one covariance (Fisher 1936; shrinkage: Ledoit and Wolf 2004)."""
    rows, labels = vectors(cell), cell.train_labels
    weight, bias = discriminant(rows.train, labels, classes=cell.objective.outputs)
    temperature = _temperature(cell, rows.train)
    width = rows.train.shape[1]
    compute = (2.0 * len(labels) * width**2 + 2.0 * width**3 / 3) * (1 + FOLDS)
    found = None if temperature == 1 else temperature  # there may have been nothing to leave out
    return linear(cell, rows, weight / temperature, bias / temperature, compute=compute, temperature=found)


def discriminant(vectors: Tensor, labels: Tensor, *, classes: int) -> tuple[Tensor, Tensor]:
    """weight (classes, d) and bias (classes,) of the linear scores; every class must have a row.

    vectors: (rows, d) float64. The scores' softmax are the posteriors under priors that are the classes' shares.
    """
    means = class_means(vectors, labels, classes)
    shares = torch.bincount(labels, minlength=classes) / len(labels)
    covariance = within_class_covariance(vectors, labels)
    covariance += torch.eye(len(covariance), dtype=covariance.dtype) * covariance.trace() * 1e-9 / len(covariance)
    weight = torch.linalg.solve(covariance, means.T).T
    return weight, shares.log() - (weight * means).sum(1) / 2


def within_class_covariance(vectors: Tensor, labels: Tensor) -> Tensor:
    """(d, d): the shrunk covariance of vectors (rows, d) about the means of their classes, labels (rows,)."""
    from sklearn.covariance import ledoit_wolf

    classes = torch.unique(labels)
    residuals = vectors.clone()
    for label in classes:
        residuals[labels == label] -= vectors[labels == label].mean(0)
    freedom = len(vectors) / max(len(vectors) - len(classes), 1)
    return torch.from_numpy(ledoit_wolf(residuals.numpy(), assume_centered=True)[0]) * freedom


def _temperature(cell: Cell, vectors: Tensor) -> float:
    """Calibrates on rows left out in folds; 1 where a class has no row to leave out."""
    labels, classes = cell.train_labels, cell.objective.outputs
    place = torch.zeros_like(labels)
    for label in range(classes):
        own = labels == label
        place[own] = torch.arange(int(own.sum()))
    folds = min(FOLDS, int(torch.bincount(labels, minlength=classes).min()))
    if folds < 2:
        return 1.0
    scores = torch.zeros(len(labels), classes, dtype=vectors.dtype)
    for fold in range(folds):
        out = place % folds == fold
        weight, bias = discriminant(vectors[~out], labels[~out], classes=classes)
        scores[out] = vectors[out] @ weight.T + bias
    return cell.objective.calibrate(scores, labels)
