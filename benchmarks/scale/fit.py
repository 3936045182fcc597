"""Exponents: by which power of what is varied a cost grows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DECADE = 10.0


@dataclass(frozen=True)
class Exponent:
    """Slopes of a line through the logarithms, by least squares. whole: over all values. end: over those from a tenth
    of the largest on, where what does not grow weighs least; None with fewer than two."""

    whole: float
    end: float | None


def exponent(values: Sequence[float], costs: Sequence[float]) -> Exponent:
    """Of costs at values, which are at least two and positive.

    Raises:
        ValueError: they are not.
    """
    x, y = np.asarray(values, float), np.asarray(costs, float)
    if len(np.unique(x)) < 2 or (x <= 0).any() or (y <= 0).any():
        raise ValueError(f"an exponent needs two values and positive costs, not {list(values)} and {list(costs)}")
    last = x >= x.max() / DECADE * (1 - 1e-9)
    enough = len(np.unique(x[last])) >= 2
    return Exponent(_slope(x, y), _slope(x[last], y[last]) if enough else None)


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
