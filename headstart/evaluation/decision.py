"""From an interval and its p-value to one of four words.

The rule, in this order:

1. fewer than 10 test units                                            -> not settled ("few units")
2. p-value after Holm <= 1 - confidence, and the interval above / below 0  -> helped / hurt
3. the interval inside (-margin, margin), on at least 10 flipped units -> equivalent
4. anything else                                                       -> not settled

A verdict never contradicts the plain interval that is printed beside it. Holm only raises p-values and the
interval and the plain p-value come from one t statistic, so `helped` implies an interval above 0; for one seed,
where the p-value is McNemar's, both are asked for. Equivalence is two one-sided tests (TOST) at (1 - confidence) / 2
each: that is the printed interval inside the margin, and also Bonferroni's share of the two contrasts (the customary
90% interval would call a printed -0.8..+1.1 equivalent within 1). The one case left is an interval that excludes 0
with a p-value that does not survive Holm: not settled, and the sentence says that this is why ("corrected").
`helped` also has to hold where each seed takes the way that the other seeds choose (choice.py), else it is not settled.
An interval above 0 and inside the margin is `helped`: small, but settled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from headstart.evaluation.intervals import Interval

Word = Literal["helped", "hurt", "equivalent", "not settled"]
Reason = Literal["few units", "corrected", "few flips", "wide", "withheld", "choice"]

FEWEST_UNITS = 10
FEWEST_FLIPS = 10
ROUNDING = 1 + 1e-9  # 1 - 0.95 is not 0.05 to the last bit


@dataclass(frozen=True)
class Ruling:
    """The word, why it is not another one (only for `not settled`), and the p-value it rests on.

    withheld: in words, why a verdict that the figures would allow is not given.
    """

    verdict: Word
    reason: Reason | None
    p_holm: float
    withheld: str | None = None


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusts p-values for being several, in their order (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    steps = [min(1.0, p_values[i] * (len(p_values) - rank)) for rank, i in enumerate(order)]
    adjusted[order] = np.maximum.accumulate(steps)
    return [float(p) for p in adjusted]


def decide(
    interval: Interval, *, p_holm: float, confidence: float, margin: float, units: int, disagreeing_units: int
) -> Ruling:
    """Applies the rule at the top of this file."""

    def not_settled(reason: Reason) -> Ruling:
        return Ruling(verdict="not settled", reason=reason, p_holm=p_holm)

    if units < FEWEST_UNITS:
        return not_settled("few units")
    excludes_zero = interval.low > 0 or interval.high < 0
    if excludes_zero and p_holm <= (1 - confidence) * ROUNDING:
        return Ruling(verdict="helped" if interval.low > 0 else "hurt", reason=None, p_holm=p_holm)
    if -margin < interval.low and interval.high < margin:
        if disagreeing_units < FEWEST_FLIPS:
            return not_settled("few flips")
        return Ruling(verdict="equivalent", reason=None, p_holm=p_holm)
    return not_settled("corrected" if excludes_zero else "wide")
