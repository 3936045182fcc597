"""Ranking of sources before anything is fine-tuned: how well labels are told from each W's features, left out in turn.

No estimator wins everywhere (2204.01403), and plain nearest neighbours beat 23 metrics over 42,000 experiments
(2503.18528). So sources are ranked by a cross-validated ridge head, with nearest neighbours, LogME and the sources'
sizes beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau
from scipy.stats import t as student

from headstart.entrants import Entrant
from headstart.objectives.kinds import Kind
from headstart.strategies.table import STRATEGIES

GAPS = ("behind", "behind_low", "behind_high")
RIDGE, KNN, LOGME, SIZE = METHODS = ("ridge", "knn", "logme", "size")

Floats = NDArray[np.float64]

FEWEST = 3  # sources that an order means something of
STARTS = (1.0, 100.0, 0.01)  # of alpha: the evidence may have several maxima
LARGEST_STEPS = 100  # of LogME's fixed point, which ends long before


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval."""

    value: float
    low: float
    high: float

    def within(self, lowest: float, highest: float) -> "Estimate":
        """The same with bounds that are possible."""
        return Estimate(self.value, max(self.low, lowest), min(self.high, highest))


@dataclass(frozen=True)
class Ranked:
    """A source in its place, the scores as the metric has them.

    ridge, knn: on labels left out in turn. behind: by how much ridge's score is below the best's (positive is worse
    whatever the metric), None of the best itself. rows: the source's. fine_tuned: what fine-tuning from it came to on
    test rows, None where nobody fine-tuned from several.
    """

    source: str
    ridge: Estimate
    behind: Estimate | None
    knn: float
    logme: float
    rows: int
    fine_tuned: float | None


@dataclass(frozen=True)
class Ranking:
    """Sources, the best by ridge first.

    taus: Kendall's, by method, with what fine-tuning from `known` of them came to.
    """

    sources: tuple[Ranked, ...]
    taus: dict[str, float]
    known: int


def mean_of_draws(scores: Sequence[Floats], *, confidence: float) -> Estimate:
    """The mean over draws of labels and the rows in them, scores (rows,) a draw.

    Rows lie within draws: the variance is that of the draws' means, or that of the rows where it is larger (a few
    draws may agree by chance); the degrees of freedom are those of the part that was taken.
    """
    means = np.array([own.mean() for own in scores])
    rows = np.concatenate([own - own.mean() for own in scores])
    count, draws = len(rows), len(scores)
    of_rows = float((rows**2).sum()) / max(count - draws, 1) / count
    of_draws = float(means.var(ddof=1)) / draws if draws > 1 else 0.0
    variance, freedom = max((of_rows, max(count - draws, 1)), (of_draws, max(draws - 1, 1)))
    half = float(student.ppf((1 + confidence) / 2, freedom)) * variance**0.5
    return Estimate(float(means.mean()), float(means.mean()) - half, float(means.mean()) + half)


def logme(features: Floats, targets: Floats) -> float:
    """LogME (You 2021, 2102.11005): the log evidence of a Bayesian linear model, a row; the mean over the targets.

    features (rows, d), targets (rows, outputs): 0 and 1 for classes, or values. Higher is better; only differences on
    the same rows mean something. Prior precision alpha and noise precision beta are those of the largest evidence,
    found by the fixed point of MacKay (1992), from several starts.
    """
    rows, width = features.shape
    left, singular, _ = np.linalg.svd(features, full_matrices=False)
    squares = singular**2
    return float(np.mean([_evidence(left.T @ y, y, squares, rows, width) for y in targets.T]))


def _evidence(projected: Floats, y: Floats, squares: Floats, rows: int, width: int) -> float:
    """Of one target y (rows,), projected (rank,) onto the features' left singular vectors."""
    outside = max(float(y @ y - projected @ projected), 0.0)  # what no weights can reach
    return max(_fixed_point(start, projected, squares, outside, rows, width) for start in STARTS)


def _fixed_point(alpha: float, projected: Floats, squares: Floats, outside: float, rows: int, width: int) -> float:
    """The log evidence a row where the iteration ends that begins at this alpha: one of its maxima."""
    beta = 1.0
    for _ in range(LARGEST_STEPS):
        gamma, norm, error = _moments(alpha, beta, projected, squares, outside)
        after = max(gamma, 1e-12) / max(norm, 1e-12)
        beta = (rows - gamma) / max(error, 1e-12)
        moved, alpha = abs(after - alpha) / alpha, after
        if moved < 1e-5:
            break
    _, norm, error = _moments(alpha, beta, projected, squares, outside)
    logarithms = np.log(alpha + beta * squares).sum() + (width - len(squares)) * np.log(alpha)
    evidence = (
        width * np.log(alpha)
        + rows * np.log(beta)
        - rows * np.log(2 * np.pi)
        - logarithms
        - beta * error
        - alpha * norm
    )
    return float(evidence) / 2 / rows


def _moments(
    alpha: float, beta: float, projected: Floats, squares: Floats, outside: float
) -> tuple[float, float, float]:
    """Effective parameters, squared norm of the mean weights, and the squared error that they leave."""
    shrink = beta * squares / (alpha + beta * squares)
    weights = np.divide(shrink, np.sqrt(squares), out=np.zeros_like(squares), where=squares > 0) * projected
    return float(shrink.sum()), float((weights**2).sum()), float((((1 - shrink) * projected) ** 2).sum()) + outside


def read_ranking(table: pd.DataFrame, comparison: pd.DataFrame | None, *, kind: Kind, label_budget: int) -> Ranking:
    """What ranking.csv says, and beside it what fine-tuning came to as far as comparison.csv has it."""
    ways = [entry.name for entry in STRATEGIES if entry.role == "transfer"]
    known = (
        {} if comparison is None else fine_tuned(comparison, metric=kind.metric, label_budget=label_budget, ways=ways)
    )
    numbers = table.set_index(["source", "method"])[["value", "low", "high", *GAPS]].astype(float).T.to_dict()
    order = [str(name) for name in table[table["method"] == RIDGE]["source"]]
    sources = [_ranked({method: numbers[name, method] for method in METHODS}, name, kind, known) for name in order]
    best = replace(sources[0], behind=None)
    taus = agreement(table, {name: kind.sign * value for name, value in known.items()})
    return Ranking((best, *sources[1:]), taus, sum(found.fine_tuned is not None for found in sources))


def _ranked(own: Mapping[str, Mapping[str, float]], name: str, kind: Kind, known: Mapping[str, float]) -> Ranked:
    """own: one source's numbers, by method."""
    ridge = own[RIDGE]
    low, high = sorted((kind.value(ridge["low"]), kind.value(ridge["high"])))
    behind, least, most = (ridge[column] for column in GAPS)
    return Ranked(
        source=name,
        ridge=Estimate(kind.value(ridge["value"]), low, high),
        behind=Estimate(-behind, -most, -least),
        knn=kind.value(own[KNN]["value"]),
        logme=own[LOGME]["value"],
        rows=int(own[SIZE]["value"]),
        fine_tuned=known.get(name),
    )


def fine_tuned(comparison: pd.DataFrame, *, metric: str, label_budget: int, ways: Sequence[str]) -> dict[str, float]:
    """What fine-tuning from each source came to: the mean test metric over the ways that all have, and the seeds.

    comparison: as comparison.csv has it. Of a run with one source there is nothing to tell apart; a source that came in
    as a remedy has one way, and then the others are seen by that alone.
    """
    wanted = (comparison["split"] == "test") & (comparison["metric"] == metric)
    rows = comparison[wanted & (comparison["label_budget"] == label_budget)]
    entrants = [Entrant.parse(str(name)) for name in rows["strategy"]]
    kept = [entrant.strategy in ways and bool(entrant.source) for entrant in entrants]
    if not any(kept):
        return {}
    found = rows[kept].assign(
        source=[entrant.source for entrant, keep in zip(entrants, kept, strict=True) if keep],
        way=[replace(entrant, source="").name for entrant, keep in zip(entrants, kept, strict=True) if keep],
    )
    shared = set.intersection(*(set(own["way"]) for _, own in found.groupby("source")))
    means = found[found["way"].isin(shared)].groupby("source")["value"].mean()
    return {str(source): float(value) for source, value in means.items()}


def agreement(ranking: pd.DataFrame, truth: Mapping[str, float]) -> dict[str, float]:
    """Kendall's tau of each method's order with that of the truth (higher is better in both), over shared sources.

    ranking: source, method, value. Empty where fewer than three sources are known, of which chance
    orders two as often as not, or all came to the same.
    """
    found = {}
    for method, own in ranking.groupby("method"):
        shared = own[own["source"].isin(list(truth))]
        tau = kendalltau(shared["value"], shared["source"].map(truth)).statistic if len(shared) >= FEWEST else np.nan
        if np.isfinite(tau):
            found[str(method)] = float(tau)
    return found
