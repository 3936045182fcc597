"""The two-way random-effects interval: test units and seeds are two crossed random factors.

A bootstrap over rows takes the seeds for the whole population of trainings, and one over seeds has too few of
them; both cry wolf (simulated false-alarm rates in tests/unit/evaluation/test_simulations.py).
"""

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from headstart.evaluation.overlap import overlap_factor

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Parts:
    """Contributions to the variance of the mean, as the two-way table gives them (before any correction)."""

    rows: float  # variance of the unit means / units
    seeds: float  # variance of the seed means / seeds; contains the residual
    residual: float  # residual mean square / (seeds * units)


@dataclass(frozen=True)
class Interval:
    """An estimate with its t interval. row_part and seed_part sum to the square of the standard error."""

    estimate: float
    low: float
    high: float
    p_value: float
    standard_error: float
    df: float
    row_part: float
    seed_part: float

    def p_greater(self) -> float:
        """One-sided p-value of 'the true value is not above 0'."""
        return _tail(self.estimate, self.standard_error, self.df)

    def scaled(self, factor: float) -> "Interval":
        """The same in another unit, of which one of the present ones has `factor`."""
        linear = {name: getattr(self, name) * factor for name in ("estimate", "low", "high", "standard_error")}
        squares = {name: getattr(self, name) * factor**2 for name in ("row_part", "seed_part")}
        return replace(self, **linear, **squares)

    def clipped(self, limit: float) -> "Interval":
        """The same with its bounds inside [-limit, limit], where nothing else is possible."""
        return replace(self, low=max(self.low, -limit), high=min(self.high, limit))


@dataclass(frozen=True)
class Sampling:
    """How a comparison's rows and seeds were drawn: what every interval of it needs to know.

    units: (rows,), codes 0..units-1 of the independent units: the rows themselves, or their groups.
    overlap: share of labelled rows that two seeds have in common, on average; 0 with one seed.
    scale: the difference that counts as one flip: 1 for rates, the target's s.d. for errors of values.
    largest: difference that is possible at all.
    """

    units: Codes
    overlap: float
    confidence: float
    scale: float = 1.0
    largest: float = 1.0


def paired_interval(differences: Floats, sampling: Sampling) -> Interval:
    """Interval of the mean difference of two entrants on the same test rows, under the same seeds.

    differences: (seeds, rows), in [-1, 1]: 1 where only the entrant is right, -1 where only its opponent is; of values
        the difference of the absolute errors, positive where the entrant's is smaller.

    The row part gets one flip on top (half a row won, half a row lost: variance 1 / (rows + 2)^2), the add-one
    of Agresti and Min (2005, "Simple improved confidence intervals for comparing matched proportions"): no
    disagreement at all is not certainty, and few flips make the plain variance too small. Of values a flip is a row
    whose errors differ by the scale, the target's s.d.
    """
    interval = two_way(
        unit_scores(differences / sampling.scale, sampling.units),
        confidence=sampling.confidence,
        overlap=sampling.overlap,
        extra_row_part=one_flip(differences.shape[1]),
    )
    return interval.scaled(sampling.scale).clipped(sampling.largest)


def one_flip(rows: int) -> float:
    """What half a row won and half a row lost add to the variance of the mean."""
    return 1.0 / (rows + 2) ** 2


def unit_scores(differences: Floats, units: Codes) -> Floats:
    """Scores by unit, (seeds, units), whose mean is the mean over ROWS whatever the units' sizes.

    The row mean is the ratio of two unit totals, so a unit's score is its linearised residual: with d the row
    mean and n the unit's size, d + n (unit mean - d) / (average size). The variance of these over units is the
    cluster-robust one of the intercept-only regression (Cochran 1977, "Sampling techniques", 6.5).
    """
    sizes = np.bincount(units).astype(np.float64)
    totals = np.stack([np.bincount(units, weights=row) for row in differences])
    mean = differences.mean()
    scores: Floats = mean + (totals - mean * sizes) / sizes.mean()
    return scores


def two_way(scores: Floats, *, confidence: float, overlap: float = 0.0, extra_row_part: float = 0.0) -> Interval:
    """Interval of the mean of a table of scores, (seeds, units), for new units and new seeds.

    With one seed only the row part is known: the interval speaks of these two models.
    extra_row_part: variance added to the row part before anything else (a floor for degenerate tables).
    """
    parts = variance_parts(scores)
    parts = replace(parts, rows=parts.rows + extra_row_part)
    seeds, units = scores.shape
    return combine(float(scores.mean()), parts, seeds=seeds, units=units, overlap=overlap, confidence=confidence)


def variance_parts(scores: Floats) -> Parts:
    """The two-way analysis of variance of scores, (seeds, units), without replication.

    A single unit shows no variance over units; it is taken at the largest that differences in [-1, 1] can have.
    """
    seeds, units = scores.shape
    unit_means, seed_means = scores.mean(axis=0), scores.mean(axis=1)
    rows = float(unit_means.var(ddof=1)) / units if units > 1 else 1.0
    if seeds == 1:
        return Parts(rows=rows, seeds=0.0, residual=0.0)
    residuals = scores - unit_means - seed_means[:, None] + scores.mean()
    free = (seeds - 1) * (units - 1)
    mean_square = float((residuals**2).sum()) / free if free else 0.0
    return Parts(rows=rows, seeds=float(seed_means.var(ddof=1)) / seeds, residual=mean_square / (seeds * units))


def combine(estimate: float, parts: Parts, *, seeds: int, units: int, overlap: float, confidence: float) -> Interval:
    """The t interval from its parts: variance = row part + seed part - residual, never below the row part.

    The seed part (less the residual) is multiplied by the factor for overlapping labels. The degrees of freedom
    are Satterthwaite's (1946) for that combination of mean squares,

        df = variance^2 / (rows^2 / (units - 1) + (f seeds)^2 / (seeds - 1) + (f residual)^2 / ((seeds - 1)(units - 1)))

    at least those of the smaller factor. Two seeds get a df of 1: their spread is so badly known that it often looks
    like none, and Satterthwaite's df then gave 12% false alarms at nominal 5%. Simulated false alarms: 4 to 6% with
    5 or 10 seeds, 2 to 9% with 3 (most where the seeds vary much more than the rows).
    """
    factor = overlap_factor(overlap, seeds=seeds)
    seed_part = factor * max(parts.seeds - parts.residual, 0.0)
    error = sqrt(parts.rows + seed_part)
    df = _satterthwaite(parts, variance=parts.rows + seed_part, seeds=seeds, units=units, factor=factor)
    half_width = float(stdtrit(df, 0.5 + confidence / 2)) * error
    return Interval(
        estimate=estimate,
        low=estimate - half_width,
        high=estimate + half_width,
        p_value=min(1.0, 2.0 * _tail(abs(estimate), error, df)),
        standard_error=error,
        df=df,
        row_part=parts.rows,
        seed_part=seed_part,
    )


def _satterthwaite(parts: Parts, *, variance: float, seeds: int, units: int, factor: float) -> float:
    row_df, seed_df = max(units - 1, 1), seeds - 1
    if seed_df == 0:
        return float(row_df)
    smaller = float(min(row_df, seed_df))
    if seed_df == 1 or variance == 0.0:
        return smaller
    spread = (
        parts.rows**2 / row_df
        + (factor * parts.seeds) ** 2 / seed_df
        + (factor * parts.residual) ** 2 / (seed_df * row_df)
    )
    return max(smaller, variance**2 / spread)


def _tail(estimate: float, error: float, df: float) -> float:
    """P(T > estimate / error); where nothing varies, 0, 1/2 or 1 by the sign of the estimate."""
    if error == 0.0:
        return 0.5 - 0.5 * float(np.sign(estimate))
    return float(stdtr(df, -estimate / error))
