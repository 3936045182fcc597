"""How sure predictions are against how often they are right: measured on the test rows, which fitted none of it."""

from dataclasses import dataclass
from math import ceil

import numpy as np
from scipy.special import ndtri

from headstart.evaluation.intervals import Codes, Floats
from headstart.evaluation.metrics import Labels

BINS = 15  # as Guo 2017 (1706.04599) has them


@dataclass(frozen=True)
class Share:
    """A share of rows with its interval."""

    value: float
    low: float
    high: float


def calibration_error(truth: Labels, probabilities: Floats) -> float:
    """Expected calibration error: |share right - mean confidence|, over 15 even bins of confidence, by their rows.

    truth: (rows,), class numbers; probabilities: (rows, classes). A few hundred rows give some points even where
    nothing is amiss.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    bins = np.minimum((confidence * BINS).astype(np.intp), BINS - 1)
    excess = np.bincount(bins, weights=right - confidence, minlength=BINS)  # of each bin, times its rows
    return float(np.abs(excess).sum() / len(truth))


def uncalibrated(probabilities: Floats, temperature: Floats) -> Floats:
    """Probabilities before scores were divided by a temperature. probabilities: (rows, classes), temperature: (rows,).

    They are powers of the calibrated ones; 0 stands for the least that a float32 holds.
    """
    logs = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)) * temperature[:, None]
    raised = np.exp(logs - logs.max(axis=1, keepdims=True))
    before: Floats = raised / raised.sum(axis=1, keepdims=True)
    return before


def covered(truth: Floats, low: Floats, high: Floats) -> Floats:
    """(rows,), or of several values (rows, values): 1 where the interval holds the truth, else 0."""
    held: Floats = ((truth >= low) & (truth <= high)).astype(np.float64)
    return held


def coverage(held: Floats, units: Codes, *, confidence: float) -> Share:
    """Share of rows that are held, with Wilson's interval (1927).

    held: (rows,), shares over the seeds of a row; units: (rows,). There are as many independent trials as units: the
    seeds share the rows, and the rows of a group hang together.
    """
    trials = len(np.unique(units))
    return wilson(float(held.mean()), trials, confidence=confidence)


def wilson(share: float, trials: int, *, confidence: float) -> Share:
    """Wilson's interval of a share."""
    z = float(ndtri((1 + confidence) / 2))
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2)) / (1 + z**2 / trials)
    return Share(share, max(0.0, float(centre - half)), min(1.0, float(centre + half)))


def fewest(level: float) -> int:
    """Held-out rows from which on split conformal gives an interval of that level: 9 of 90%, 19 of 95%."""
    return ceil(level / (1 - level) - 1e-9)
