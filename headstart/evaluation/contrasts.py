"""One entrant against another: same test rows, same seeds, same labels."""

from dataclasses import dataclass

from headstart.evaluation.flips import Flips, count_flips, exact_mcnemar
from headstart.evaluation.intervals import Codes, Floats, Interval, Sampling, paired_interval
from headstart.evaluation.measures import RATE, Measure


@dataclass(frozen=True)
class Contrast:
    """What was measured between two entrants, before any correction or word for it."""

    interval: Interval
    p_value: float
    flips: Flips
    overlap: float | None
    seeds: int
    units: int
    rows: int
    folds: int = 0  # of cross-validation; 0 where there is a test set

    @property
    def grouped(self) -> bool:
        return self.units < self.rows


def contrast(
    entrant: Floats,
    opponent: Floats,
    *,
    units: Codes,
    overlap: float | None,
    confidence: float,
    measure: Measure = RATE,
) -> Contrast:
    """Compares two entrants; positive means that the entrant is better.

    entrant, opponent: (seeds, rows), the measure's row scores: 1 where the prediction is right and 0 where it is not,
        or minus the absolute error.
    units: (rows,), codes 0..units-1 of the independent units.
    overlap: share of labelled rows that two seeds have in common; None with one seed.

    With one seed and no groups the p-value of rates is McNemar's exact one; else it belongs to the t interval.
    """
    differences = entrant - opponent
    sampling = Sampling(units, overlap or 0.0, confidence, measure.scale, measure.largest)
    interval = paired_interval(differences, sampling)
    flips = count_flips(differences, units)
    seeds, rows = differences.shape
    count = int(units.max()) + 1
    fixed_models = measure.exact and seeds == 1 and count == rows
    return Contrast(
        interval=interval,
        p_value=exact_mcnemar(flips) if fixed_models else interval.p_value,
        flips=flips,
        overlap=overlap,
        seeds=seeds,
        units=count,
        rows=rows,
    )
