"""Schedules as pure functions of the step, so that a checkpoint needs no scheduler state."""

import math

START = 1 / 25  # of the peak, as in torch's OneCycleLR
END = 1e-4  # of the peak; torch's floor is 1e-4 of the start


def one_cycle(step: int, *, steps: int, warmup: float) -> float:
    """Share of the peak rate at a step in [0, steps): cosine up over `warmup`, cosine down to the end (1708.07120)."""
    rise = max(1, round(warmup * steps))
    if step < rise:
        return _cosine(START, 1.0, step / rise)
    return _cosine(1.0, END, (step - rise) / max(1, steps - 1 - rise))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(share, 1.0))) / 2
