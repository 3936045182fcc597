"""eszsl: classes without a label are told by what they are like (Romera-Paredes 2015, "embarrassingly simple").

W's vectors X and the classes' signatures S are joined by one matrix V, solved for on the rows of seen classes alone; a
class's score is x V s, whether any of its rows was seen or not. Seen classes would win nearly always, so a handicap is
taken off their scores (calibrated stacking, Chao 2016, 1605.04253).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headstart.cells.cell import Cell, Fitted
from headstart.cells.vectors import Vectors, linear, vectors
from headstart.objectives.classification import ridge_targets
from headstart.training.accelerator import generator, seed_of

FOLDS = 5  # of the seen classes, each taken for unseen in its turn
HANDICAPS = torch.linspace(0, 4, 41).double()  # tried, in standard deviations of the scores of training rows

Penalties = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class _LeftOut:
    """A fold of classes taken for unseen, under each pair of penalties.

    scores: (pairs, rows, seen classes) of rows that V was not solved on; labels: (rows,), places among the seen
    classes. hidden: (seen classes,), which of them were taken for unseen.
    """

    scores: Tensor
    labels: Tensor
    hidden: Tensor


def fit(cell: Cell) -> Fitted:
    """Solves for V on the training rows; penalties and handicap are chosen on classes and rows that were left out.

    What is left out is within the label budget, and no row of a class that target.unseen names has a say in any of it.
    """
    rows, signatures = vectors(cell), scaled(torch.from_numpy(cell.pack.signatures))
    penalties = list(product(cell.recipe.row_penalties, cell.recipe.class_penalties))
    folds = list(_folds(cell, rows, signatures, penalties))
    quality = torch.stack([_harmonic_means(folds, place) for place in range(len(penalties))])  # (pairs, handicaps)
    place, step = divmod(int(quality.argmax()), len(HANDICAPS))
    handicap = HANDICAPS[step]
    weight, bias = next(heads(rows.train, cell.train_labels, signatures, cell.seen, [penalties[place]]))
    bias[cell.seen] -= handicap
    left_out = torch.cat([fold.scores[place] - handicap * ~fold.hidden for fold in folds])
    temperature = cell.objective.calibrate(left_out, torch.cat([fold.labels for fold in folds]))
    width, columns = rows.train.shape[1], signatures.shape[1]
    solved = 2.0 * len(rows.train) * width**2 + 9.0 * width**3 + 2.0 * width**2 * columns * len(penalties)
    compute = solved * (len(folds) + 1)
    return linear(cell, rows, weight / temperature, bias / temperature, compute=compute, temperature=temperature)


def solve(x: Tensor, y: Tensor, signatures: Tensor, penalties: Penalties) -> Iterator[Tensor]:
    """V (d, columns) = (X'X + g I)^-1 X'Y S (S'S + l I)^-1 for each (g, l), by one eigendecomposition of each side.

    x: (rows, d), y: (rows, classes) of 1 and -1, signatures: (classes, columns); all float64.
    """
    values, left = torch.linalg.eigh(x.T @ x)
    scales, right = torch.linalg.eigh(signatures.T @ signatures)
    middle = left.T @ x.T @ y @ signatures @ right
    for row, column in penalties:
        yield left @ (middle / ((values + row)[:, None] * (scales + column))) @ right.T


def heads(
    x: Tensor, labels: Tensor, signatures: Tensor, seen: Tensor, penalties: Penalties
) -> Iterator[tuple[Tensor, Tensor]]:
    """weight (classes, d) and bias (classes,) of all classes' scores, for each pair of penalties.

    x: (rows, d) float64, labels: (rows,) class numbers, all of them among `seen`. Penalties are relative to the mean
    eigenvalue of their side; scores have an s.d. of 1 over these rows.
    """
    centre = x.mean(0)
    own = signatures[seen]
    places = torch.searchsorted(seen, labels)
    units = [float(((side**2).sum() / side.shape[1]).clamp_min(1e-12)) for side in (x - centre, own)]
    scale = [(row * units[0], column * units[1]) for row, column in penalties]
    for v in solve(x - centre, ridge_targets(places, len(seen)), own, scale):
        weight = signatures @ v.T
        weight = weight / ((x - centre) @ weight.T).std().clamp_min(1e-12)
        yield weight, -weight @ centre


def scaled(signatures: Tensor) -> Tensor:
    """Each column with mean 0 and s.d. 1 over the classes, then each class of unit length."""
    centred = signatures - signatures.mean(0)
    return normalize(centred / centred.std(0, correction=0).clamp_min(1e-12), dim=1)


def _folds(cell: Cell, rows: Vectors, signatures: Tensor, penalties: Penalties) -> Iterator[_LeftOut]:
    """Left out are all labelled rows of the classes that are taken for unseen, and the others' validation rows."""
    seen, train, held = cell.seen, cell.train_labels, cell.validation_labels
    order = torch.randperm(len(seen), generator=generator(seed_of(cell.job.run_seed, "unseen", cell.job.seed)))
    count = min(FOLDS, len(seen))
    for fold in range(count):
        hidden = torch.zeros(len(seen), dtype=torch.bool)
        hidden[order[fold::count]] = True
        kept = torch.isin(train, seen[~hidden])
        left_out = torch.cat([rows.train[~kept], rows.validation])
        labels = torch.searchsorted(seen, torch.cat([train[~kept], held]))
        found = heads(rows.train[kept], train[kept], signatures, seen[~hidden], penalties)
        scores = torch.stack([left_out @ weight[seen].T + bias[seen] for weight, bias in found])
        yield _LeftOut(scores, labels, hidden)


def _harmonic_means(folds: Sequence[_LeftOut], place: int) -> Tensor:
    """(handicaps,): of the accuracies on classes taken for unseen and on the others, each a mean over classes."""
    accuracy = torch.stack([_accuracies(fold, place) for fold in folds]).mean(0)  # (handicaps, 2)
    return 2 * accuracy.prod(1) / accuracy.sum(1).clamp_min(1e-12)


def _accuracies(fold: _LeftOut, place: int) -> Tensor:
    """(handicaps, 2): mean accuracy of the classes taken for unseen, and of the others."""
    scores = fold.scores[place] - HANDICAPS[:, None, None] * ~fold.hidden  # (handicaps, rows, classes)
    right = (scores.argmax(2) == fold.labels).double()
    member = torch.nn.functional.one_hot(fold.labels, len(fold.hidden)).double()
    each = right @ member / member.sum(0).clamp_min(1)  # (handicaps, classes)
    return torch.stack([each[:, fold.hidden].mean(1), each[:, ~fold.hidden].mean(1)], dim=1)
