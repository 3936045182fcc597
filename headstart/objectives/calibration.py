"""Calibration: what held-out labels say of how sure predictions may be. Temperatures of classes, intervals of values.

All of it is fitted inside the label budget, on rows that the weights were not fitted to.
"""

from dataclasses import dataclass
from math import ceil

from torch import Tensor


@dataclass(frozen=True)
class Calibration:
    """How a model's scores become predictions that are as sure as they may be.

    temperature: that scores of classes are divided by (Guo 2017, 1706.04599). half_widths: of the interval around each
    value, one an output in the target's unit, that holds the truth of `level` of such rows; empty where none is given.
    rows: held-out rows that either was fitted to, 0 where they were too few, or nothing was to be fitted.
    """

    temperature: float = 1.0
    half_widths: tuple[float, ...] = ()
    level: float = 0.0
    rows: int = 0


def half_width(errors: Tensor, *, level: float) -> float | None:
    """Split conformal's half-width (Lei 2018, 1604.04173): the ceil((n + 1) level)-th smallest absolute error.

    errors: (n,), of held-out rows. A new row that is exchangeable with them lies within it with a probability of
    `level` at least, whatever the model and the distribution. None where n is too small for a finite one: below 9 of
    90%, below 19 of 95%.
    """
    place = ceil((len(errors) + 1) * level - 1e-9)  # 0.9 times 30 is a little above 27 in binary
    if place > len(errors):
        return None
    return float(errors.double().abs().sort().values[place - 1])
