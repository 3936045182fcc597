"""Whether predictions are any better than one constant answer, by one-sided tests on rows that training did not see."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

LEVEL = 0.05  # of the test


@dataclass(frozen=True)
class Constant:
    """What a constant answer scores on the rows, in the kind's metric, and what the test says of the predictions.

    answer: it in words. p_value: of 'the predictions are no better'. least: the same had they been perfect; above LEVEL
    the rows are too few to tell.
    """

    answer: str
    score: float
    p_value: float
    least: float

    @property
    def is_as_good(self) -> bool:
        """Whether predictions that could have been told from it were not."""
        return self.p_value > LEVEL >= self.least


def commonest(answers: Tensor, targets: Tensor, *, answer: str) -> Constant:
    """Always the commonest class, by an exact binomial test. answers, targets: (rows,), class numbers."""
    from scipy.special import bdtrc

    rows, targets = len(targets), targets.long()
    share = int(targets.bincount().max()) / rows
    right = int((answers == targets).sum())
    p_values = (float(bdtrc(count - 1, rows, share)) if count else 1.0 for count in (right, rows))
    return Constant(answer, share, *p_values)


def mean(errors: Tensor, constant: Tensor, *, answer: str, score: float) -> Constant:
    """Always the mean, by a t-test of what each row gains. errors, constant: (rows,), of predictions and of it."""
    return Constant(answer, score, _p_value(constant - errors), _p_value(constant))


def together(parts: Sequence[Constant], *, answer: str) -> Constant:
    """Several answers of a row at once: predictions that are better in one are better (Bonferroni)."""
    count = len(parts)
    score = sum(part.score for part in parts) / max(count, 1)
    p_value = min((part.p_value for part in parts), default=1.0) * max(count, 1)
    least = min((part.least for part in parts), default=1.0) * max(count, 1)
    return Constant(answer, score, p_value, least)


def _p_value(gains: Tensor) -> float:
    """One-sided, of a mean gain of zero or less. gains: (rows,)."""
    from scipy.special import stdtr

    rows, gain = len(gains), float(gains.mean())
    spread = float(gains.std()) if rows > 1 else 0.0
    if not spread:
        return 0.0 if gain > 0 and rows > 1 else 1.0
    return float(stdtr(rows - 1, -gain / (spread / rows**0.5)))
