"""Which source to fine-tune from: its W's vectors are tried on the labels of the headline budget, left out in turn."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.cells.cell import Cell
from headstart.cells.job import Job
from headstart.cells.ridge import ridge
from headstart.cells.vectors import centre_of_source, centred, vectors
from headstart.evaluation.ranking import KNN, LOGME, RIDGE, SIZE, Estimate, Floats, logme, mean_of_draws
from headstart.objectives import neighbours
from headstart.objectives.objective import Objective
from headstart.training.accelerator import Accelerator

NEIGHBOURS = 5
PARTS = 5  # that labels are left out in, where the smallest class has as many
COLUMNS = ["source", "method", "value", "low", "high", "behind", "behind_low", "behind_high", "place"]


class Scores(Protocol):
    """Scores (others, outputs) of vectors (others, d) by labelled ones: known (rows, d), with their targets (rows,)."""

    def __call__(self, known: Tensor, targets: Tensor, others: Tensor, *, objective: Objective) -> Tensor: ...


@dataclass(frozen=True)
class _Draw:
    """Of one draw of labels under one W: scores of the rows left out, (rows,), and LogME."""

    ridge: Floats
    knn: Floats
    logme: float


def rank_sources(
    jobs: Mapping[str, Sequence[Job]],
    sizes: Mapping[str, int],
    *,
    smallest: float,
    largest: float,
    confidence: float,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> pd.DataFrame:
    """One row a source and method, the best first by ridge: value, interval, and how far behind the best of the method.

    jobs: cells of linear_probe, one a draw of labels, the same draws for each source; nothing is trained, and no test
    row is looked at. sizes: rows of each source, the baseline that needs no look at the target. smallest, largest: the
    ridge penalties' ends. ridge and knn are mean scores of rows that were left out in turn, evenly by class, with the
    interval over draws and rows; `behind` is paired on the same rows. bounds: of a row's score.
    """
    draws = {name: [_look(job, smallest=smallest, largest=largest) for job in own] for name, own in jobs.items()}
    rows: list[dict[str, object]] = []
    widest = bounds[1] - bounds[0]
    for method in (RIDGE, KNN):
        scores = {name: [getattr(draw, method) for draw in own] for name, own in draws.items()}
        means = {name: mean_of_draws(own, confidence=confidence).within(*bounds) for name, own in scores.items()}
        best = max(means, key=lambda name: means[name].value)
        for name, found in means.items():
            gaps = [ours - theirs for ours, theirs in zip(scores[name], scores[best], strict=True)]
            behind = mean_of_draws(gaps, confidence=confidence) if name != best else Estimate(0.0, 0.0, 0.0)
            rows.append(_row(name, method, found.within(*bounds), behind.within(-widest, widest)))
    for name, own in draws.items():
        rows.append({"source": name, "method": LOGME, "value": float(np.mean([draw.logme for draw in own]))})
        rows.append({"source": name, "method": SIZE, "value": float(sizes[name])})
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["place"] = table.groupby("method")["value"].rank(ascending=False, method="min").astype(int)
    order = table[table["method"] == RIDGE].set_index("source")["place"]
    return table.sort_values(
        ["method", "source"], key=lambda column: column.map(order) if column.name == "source" else column, kind="stable"
    ).reset_index(drop=True)


def _row(source: str, method: str, found: Estimate, behind: Estimate) -> dict[str, object]:
    return {
        "source": source, "method": method, "value": found.value, "low": found.low, "high": found.high,
        "behind": behind.value, "behind_low": behind.low, "behind_high": behind.high,
    }  # fmt: skip


def _look(job: Job, *, smallest: float, largest: float) -> _Draw:
    """All labels of the draw take part: none has to be held out where each is left out in its turn."""
    cell = Cell(job, Accelerator())
    found = vectors(cell)
    features = torch.cat([found.train, found.validation])
    targets = torch.cat([cell.train_labels, cell.validation_labels])
    rows = np.concatenate([cell.train_rows, cell.validation_rows])
    parts = folds_of(cell.objective.strata(cell.pack.examples.iloc[rows]))
    by_ridge = partial(ridge_scores, smallest=smallest, largest=largest)
    by_knn = partial(knn_scores, centre=centre_of_source(cell))
    return _Draw(
        left_out(features, targets, parts, objective=cell.objective, scores=by_ridge),
        left_out(features, targets, parts, objective=cell.objective, scores=by_knn),
        logme(features.numpy(), cell.objective.vote_targets(targets).numpy()),
    )


def left_out(
    features: Tensor, targets: Tensor, parts: NDArray[np.intp], *, objective: Objective, scores: Scores
) -> Floats:
    """(rows,): how good the prediction of each row is by what the other parts' labels tell.

    features: (rows, d) float64; targets, parts: (rows,). scores: see Scores.
    """
    found = np.zeros(len(parts))
    for part in np.unique(parts):
        out = torch.from_numpy(parts == part)
        own = objective.fitted(targets[~out])
        predicted = own.predict(scores(features[~out], targets[~out], features[out], objective=own))
        found[parts == part] = own.row_scores(predicted, targets[out]).numpy()
    return found


def ridge_scores(
    known: Tensor, targets: Tensor, others: Tensor, *, objective: Objective, smallest: float, largest: float
) -> Tensor:
    """By linear_probe's head, of those rows."""
    weight, bias, _ = ridge(known, objective.ridge_targets(targets), smallest=smallest, largest=largest)
    return others @ weight.T + bias


def knn_scores(known: Tensor, targets: Tensor, others: Tensor, *, objective: Objective, centre: Tensor) -> Tensor:
    """By the nearest of those rows."""
    bank, near = centred(known, centre), centred(others, centre)
    return objective.from_votes(neighbours.votes(near, bank, objective.vote_targets(targets), count=NEIGHBOURS))


def folds_of(strata: Sequence[str]) -> NDArray[np.intp]:
    """(rows,): which part each row is left out with, as many of each stratum in each part.

    Leave-one-out would not do: the class that loses a row falls behind the others, so that vectors that know nothing
    come out far below chance (0.5% where it is 10%, of ten classes of ten rows).
    """
    names = np.array(strata, dtype=object)
    places = np.zeros(len(names), dtype=np.intp)
    for name in set(names):
        places[names == name] = np.arange((names == name).sum())
    fewest = min(Counter(strata).values())
    parts: NDArray[np.intp] = places % max(2, min(PARTS, fewest))
    return parts
