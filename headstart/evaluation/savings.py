"""What transfer saves: labels and compute, each with an interval, and a bound where the curve ends.

The intervals invert the two-way test: every label budget (or snapshot) at which the two entrants cannot be told apart
belongs to the interval. A delta method breaks at the kinks and ends of a learning curve, and resampling a handful of
seeds is what the two-way interval was chosen over; this way the savings have the verdict's own coverage.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan

import numpy as np

from headstart.evaluation.document import Bound, ComputeSaved, Saving
from headstart.evaluation.intervals import Floats, Sampling, paired_interval

POINTS = 50  # grid points between two label budgets; at a doubling, steps of 1.4%
CLOSE = 1e-12  # two scores this close are equal: means of the same numbers in another order


def labels_saved(strategy: Floats, curve: Mapping[int, Floats], *, headline_budget: int, sampling: Sampling) -> Saving:
    """Labels that scratch needs for the strategy's headline accuracy, over the labels that the strategy had.

    strategy: (seeds, rows), scores over their measure's scale, at the headline budget; curve: the same of scratch by
        label budget.

    The curve is made monotone (isotonic: budgets out of order are pooled) and interpolated linearly in log labels;
    pooling and interpolating the tables themselves keeps rows and seeds paired. Never extrapolated: an accuracy above
    the curve's end gives ratio = that end and bound ">=".
    """
    budgets = sorted(curve)
    tables = _isotonic([curve[budget] for budget in budgets])
    ratios = np.array(budgets) / headline_budget
    ratio, bound = _inverse(np.array([table.mean() for table in tables]), ratios, float(strategy.mean()))
    alike = _alike(strategy, tables, ratios, sampling)
    return Saving(
        ratio=ratio,
        low=None if bound == "<=" or ratios[0] in alike else min([ratio, *alike]),
        high=None if bound == ">=" or ratios[-1] in alike else max([ratio, *alike]),
        censored=bound != "=",
        bound=bound,
    )


def compute_saved(
    strategy: Mapping[float, Floats],
    scratch: Mapping[float, Floats],
    *,
    strategy_compute: float,
    scratch_compute: float,
    pretraining_compute: float,
    sampling: Sampling,
) -> ComputeSaved:
    """Compute that scratch needed to first reach its final accuracy, over what the strategy needed for the same.

    strategy, scratch: (seeds, rows) by progress, the fraction of the training after which a snapshot predicted.
    *_compute: FLOPs of a whole training, mean over seeds; that of pretraining is nan where it is not known. Both are
    read off their snapshots in the same way, so a control that was trained beyond its plateau is not charged for it.
    """
    goal = scratch[max(scratch)]
    spent = scratch_compute * min(p for p in scratch if scratch[p].mean() >= goal.mean() - CLOSE)
    reached = _first_reached(strategy, goal, sampling)
    return ComputeSaved(
        given_w=_compute_ratio(spent, reached, strategy_compute, 0.0),
        with_pretraining=_compute_ratio(spent, reached, strategy_compute, pretraining_compute),
    )


@dataclass(frozen=True)
class _Reached:
    """Progress at which the goal is reached: on average, surely, and at the earliest; None for never.

    at_once: progress of the first of several snapshots, where "by then" is all that can be said.
    """

    mean: float | None
    surely: float | None
    earliest: float | None
    at_once: float | None


def _first_reached(strategy: Mapping[float, Floats], goal: Floats, sampling: Sampling) -> _Reached:
    progresses = sorted(strategy)
    gains = {p: paired_interval(strategy[p] - goal, sampling) for p in progresses}
    return _Reached(
        mean=next((p for p in progresses if gains[p].estimate >= -CLOSE), None),
        surely=next((p for p in progresses if gains[p].low >= 0), None),
        earliest=next((p for p in progresses if gains[p].high >= 0), None),
        at_once=progresses[0] if len(progresses) > 1 else None,
    )


def _compute_ratio(spent: float, reached: _Reached, compute: float, before: float) -> Saving:
    """spent / (progress * compute + before); null where that is 0 (nothing was trained) or not known."""

    def ratio(progress: float | None) -> float | None:
        cost = None if progress is None or isnan(before) else progress * compute + before
        return spent / cost if cost else None

    bound: Bound = "<=" if reached.mean is None else ">=" if reached.mean == reached.at_once else "="
    boundless = reached.earliest is not None and reached.earliest == reached.at_once
    return Saving(
        ratio=ratio(reached.mean),
        low=ratio(reached.surely),
        high=None if boundless else ratio(reached.earliest or 1.0),
        censored=bound != "=",
        bound=bound,
    )


def _isotonic(tables: list[Floats]) -> list[Floats]:
    """Pools adjacent violators: the means of the result never fall, and each table is the average of its block."""
    blocks: list[list[int]] = []
    for index in range(len(tables)):
        blocks.append([index])
        while len(blocks) > 1 and _mean(tables, blocks[-2]) > _mean(tables, blocks[-1]) + CLOSE:
            last = blocks.pop()
            blocks[-1] += last
    pooled = [np.mean([tables[i] for i in block], axis=0) for block in blocks]
    return [pooled[k] for k, block in enumerate(blocks) for _ in block]


def _mean(tables: list[Floats], block: list[int]) -> float:
    return float(np.mean([tables[i].mean() for i in block]))


def _inverse(levels: Floats, ratios: Floats, score: float) -> tuple[float, Bound]:
    """The smallest ratio whose level reaches the score; the curve's end, as a bound, where the score is beyond it."""
    if score < levels[0] - CLOSE:
        return float(ratios[0]), "<="
    if score > levels[-1] + CLOSE:
        return float(ratios[-1]), ">="
    k = int(np.argmax(levels >= score - CLOSE))
    if k == 0:
        return float(ratios[0]), "="
    share = min(1.0, (score - levels[k - 1]) / (levels[k] - levels[k - 1]))
    return _between(ratios[k - 1], ratios[k], share), "="


def _alike(strategy: Floats, tables: list[Floats], ratios: Floats, sampling: Sampling) -> list[float]:
    """The ratios at which scratch's curve and the strategy cannot be told apart."""
    found = []
    for k, share in _grid(len(tables)):
        end = min(k + 1, len(tables) - 1)
        curve = (1 - share) * tables[k] + share * tables[end]
        interval = paired_interval(strategy - curve, sampling)
        if interval.low <= 0 <= interval.high:
            found.append(_between(ratios[k], ratios[end], share))
    return found


def _between(start: float, end: float, share: float) -> float:
    """The ratio a share of the way along, in logarithms; the start itself, to the bit, at 0."""
    return float(start * (end / start) ** share)


def _grid(budgets: int) -> list[tuple[int, float]]:
    """Segment and share of the way through it, from the first budget to the last."""
    inner = [(k, i / POINTS) for k in range(budgets - 1) for i in range(POINTS)]
    return [*inner, (budgets - 1, 0.0)]
