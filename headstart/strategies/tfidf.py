"""tfidf: TF-IDF of runs of tokens and a linear head; no network, and nothing of the source.

What a text task needs no transfer for is seen beside scratch: on few labels it is often the harder one to beat.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from headstart.cells.cell import Cell, Fitted, Snapshot
from headstart.features.bags import KIND, Bag, LinearBag, bag, rarity, runs_of, weighed
from headstart.objectives.kinds import CLASS
from headstart.objectives.objective import Objective
from headstart.training.rows import Normalisation

FOLDS = 5  # of the training rows, in which the penalty is chosen and scores are calibrated
MOST_STEPS = 300  # of L-BFGS; some 20 are taken


@dataclass(frozen=True)
class _Head:
    """weight: (outputs, d), bias: (outputs,), float64. compute: FLOPs of the solution."""

    weight: Tensor
    bias: Tensor
    compute: float


def fit(cell: Cell) -> Fitted:
    """Rarities and head from the cell's labelled training rows alone, its penalty by the loss on rows left out."""
    objective, runs = cell.objective, runs_of(cell.pack.card.preparation)
    counts = bag(cell.stored(cell.train_rows), runs)
    columns = np.unique(counts.indices).astype(np.int64)
    counts = counts[:, columns]
    idf = rarity(counts).astype(np.float32)
    rows = weighed(counts, idf)
    penalty, temperature, tried = _choose(cell, rows)
    head = _solve(rows, cell.train_labels, objective, penalty)
    divided = temperature or 1.0
    model = LinearBag(
        runs,
        torch.from_numpy(columns),
        torch.from_numpy(idf),
        (head.weight / divided).float(),
        (head.bias / divided).float(),
    )
    parts = (cell.train_rows, cell.validation_rows, cell.test_rows)
    train, held, test = (objective.predict(model.scores(cell.stored(part))).float() for part in parts)
    value = objective.kind.value(objective.score(held, cell.validation_labels))
    return Fitted(
        snapshots=(Snapshot(1.0, test, held),),
        train=train,
        tensors=model.tensors,
        kind=KIND,
        normalisation=Normalisation((), ()),
        levels=0,
        history=((1, "validation", objective.kind.metric, value),),
        compute=head.compute + tried,
        pretraining_compute=0.0,
        temperature=temperature,
    )


def _choose(cell: Cell, rows: Bag) -> tuple[float, float | None, float]:
    """The penalty with the least loss on training rows left out, their temperature under it, and the FLOPs of it all.

    The middle one and no temperature where a class has one row alone, and nothing can be left out.
    """
    objective, labels, penalties = cell.objective, cell.train_labels, sorted(cell.recipe.penalties)
    fold_of, folds = _folds(objective, labels)
    if folds < 2:
        return penalties[len(penalties) // 2], None, 0.0
    found, compute = [], 0.0
    for penalty in penalties:
        left_out = torch.zeros(len(labels), objective.outputs, dtype=torch.float64)
        for fold in range(folds):
            out = fold_of == fold
            head = _solve(rows[~out], labels[~out], objective, penalty)
            left_out[out] = torch.from_numpy(rows[out] @ head.weight.numpy().T) + head.bias
            compute += head.compute
        temperature = objective.calibrate(left_out, labels)
        loss = objective.held_out_loss(objective.predict(left_out / temperature), labels)
        found.append((loss, penalty, temperature))
    _, penalty, temperature = min(found)
    return penalty, temperature, compute


def _folds(objective: Objective, labels: Tensor) -> tuple[Any, int]:
    """(rows,) the fold of each row, every class spread evenly over them, and how many there are."""
    if objective.kind is not CLASS:
        folds = min(FOLDS, len(labels))
        return np.arange(len(labels)) % folds, folds
    own, fold_of = labels.numpy(), np.zeros(len(labels), np.int64)
    for label in np.unique(own):
        fold_of[own == label] = np.arange((own == label).sum())
    folds = min(FOLDS, int(np.bincount(own).min()))
    return fold_of % max(1, folds), folds


def _solve(rows: Bag, labels: Tensor, objective: Objective, penalty: float) -> _Head:
    """Multinomial logistic regression of classes, ridge regression of values; penalty: of half the squared weights."""
    return _logistic(rows, labels, penalty) if objective.kind is CLASS else _ridge(rows, labels, objective, penalty)


def _logistic(rows: Bag, labels: Tensor, penalty: float) -> _Head:
    from sklearn.linear_model import LogisticRegression

    solved = LogisticRegression(C=1 / penalty, max_iter=MOST_STEPS).fit(rows, labels.numpy())
    weight, bias = torch.from_numpy(solved.coef_), torch.from_numpy(solved.intercept_)
    if len(weight) == 1:  # of two classes it gives the second's log odds
        weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    return _Head(weight, bias, 4.0 * rows.nnz * len(weight) * int(solved.n_iter_.max()))


def _ridge(rows: Bag, labels: Tensor, objective: Objective, penalty: float) -> _Head:
    """By conjugate gradients, whose steps are at most as many as there are rows; so many are counted."""
    from sklearn.linear_model import Ridge

    targets = objective.ridge_targets(labels).numpy()
    solved = Ridge(alpha=penalty, solver="sparse_cg").fit(rows, targets)
    weight, bias = torch.from_numpy(np.atleast_2d(solved.coef_)), torch.from_numpy(np.atleast_1d(solved.intercept_))
    return _Head(weight, bias, 4.0 * rows.nnz * len(weight) * min(rows.shape))
