"""What would settle a verdict that is not settled: how many test rows, or seeds, a difference of this size asks for.

By the verdict's own formula, with the variances that were measured: a plan for the next run, not a promise.
"""

from collections.abc import Callable
from dataclasses import dataclass

from headstart.datasets.settings import MOST_SEEDS
from headstart.evaluation.contrasts import Contrast
from headstart.evaluation.decision import FEWEST_UNITS
from headstart.evaluation.intervals import Parts, combine

MOST_TIMES = 1000  # what there is: nobody labels more


@dataclass(frozen=True)
class Needed:
    """So many test units alone, or seeds alone; None where alone they do not do. times: as many of both, else."""

    units: int | None
    seeds: int | None
    times: int | None


def to_settle(measured: Contrast, *, margin: float, confidence: float) -> Needed | None:
    """What is needed of test units alone, or of seeds alone, or of both; None where nothing that can be had would do.

    The interval has to leave out 0 where the difference is larger than the margin, else to lie within the margin; were
    the true difference just what was measured, a run of that size would come out so in one of two cases. confidence: of
    the level that several contrasts leave each. With one seed there is no telling what more of them would say; seeds
    that share labels would share more if there were more of them.
    """
    size, units, seeds = abs(measured.interval.estimate), measured.units, measured.seeds
    wanted = size if size > margin else margin - size

    def enough(some_units: int, some_seeds: int) -> bool:
        return _half_width(measured, some_units, some_seeds, confidence) < wanted

    more_units = _least(lambda count: enough(count, seeds), max(units, FEWEST_UNITS), units * MOST_TIMES)
    if seeds == 1 or (measured.overlap or 0.0) > 0:
        return Needed(units=more_units, seeds=None, times=None) if more_units else None
    more_seeds = _least(lambda count: enough(units, count), seeds, MOST_SEEDS) if units >= FEWEST_UNITS else None
    alone = more_units or more_seeds
    times = None if alone else _least(lambda count: enough(count * units, count * seeds), 2, MOST_SEEDS // seeds)
    return Needed(units=more_units, seeds=more_seeds, times=times) if alone or times else None


def _half_width(measured: Contrast, units: int, seeds: int, confidence: float) -> float:
    """To expect of so many, where the parts of the variance fall as there are more."""
    own = measured.interval
    rows, of_seeds = own.row_part * measured.units / units, own.seed_part * measured.seeds / seeds
    parts = Parts(rows=rows, seeds=of_seeds, residual=0.0)
    return combine(0.0, parts, seeds=seeds, units=units, overlap=0.0, confidence=confidence).high


def _least(enough: Callable[[int], bool], low: int, high: int) -> int | None:
    """The least number from `low` to `high` that is enough; None where not even the last is."""
    if low > high or not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low
