"""Metrics of one cell's test predictions, and the names of what is measured of a delivered model's speed."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from headstart.evaluation.intervals import Floats

Labels = NDArray[np.intp]

PREDICTION = "prediction"  # what stands in place of a split where a model's speed is meant
SPEEDS = ("rows_per_second", "latency_ms_p50", "latency_ms_p99")
SMALLEST = 1e-15  # a probability of 0 for what was true counts as this: log loss stays finite


def accuracy(truth: Labels, prediction: Labels) -> float:
    """Share of rows that are right. truth, prediction: (rows,), class indices."""
    return float((truth == prediction).mean())


def macro_f1(truth: Labels, prediction: Labels) -> float:
    """F1 averaged over the classes that occur in truth or prediction; a class never right counts 0."""
    size = int(max(truth.max(), prediction.max())) + 1
    right = np.bincount(truth[truth == prediction], minlength=size)
    claimed = np.bincount(prediction, minlength=size) + np.bincount(truth, minlength=size)
    occurs = claimed > 0
    return float((2 * right[occurs] / claimed[occurs]).mean())


def log_loss(truth: Labels, probabilities: Floats) -> float:
    """Mean of -ln(probability of the true class), in nats. probabilities: (rows, classes), rows summing to 1."""
    rows = np.arange(len(truth))
    true_class = np.clip(probabilities[rows, truth], SMALLEST, 1.0)
    return float(-np.log(true_class).mean())


def seen_and_unseen(truth: Labels, prediction: Labels, unseen: Collection[int]) -> dict[str, float]:
    """Accuracy on the rows of seen and of unseen classes, a mean over classes each, and their harmonic mean.

    Any class may be predicted for any row (generalised zero-shot: Xian 2017, 1707.00600). NaN where no class of a kind
    has a row.
    """
    right = {int(label): float((prediction[truth == label] == label).mean()) for label in np.unique(truth)}
    seen, missed = ([score for label, score in right.items() if (label in unseen) == out] for out in (False, True))
    means = [sum(part) / len(part) if part else float("nan") for part in (seen, missed)]
    both = 2 * means[0] * means[1] / (means[0] + means[1]) if sum(means) else 0.0
    return {"seen": means[0], "unseen": means[1], "harmonic_mean": both}


def mae(truth: Floats, prediction: Floats) -> float:
    """Mean absolute error, in the unit of the values. truth, prediction: (rows,)."""
    return float(np.abs(prediction - truth).mean())


def rmse(truth: Floats, prediction: Floats) -> float:
    """Root of the mean squared error, in the unit of the values."""
    return float(np.sqrt(((prediction - truth) ** 2).mean()))


def r2(truth: Floats, prediction: Floats) -> float:
    """Share of the truths' variance that is explained: 1 at best, 0 for their mean; NaN where they do not vary."""
    total = float(((truth - truth.mean()) ** 2).sum())
    return 1.0 - float(((prediction - truth) ** 2).sum()) / total if total else float("nan")
