"""Metrics of one cell's test predictions."""

import numpy as np
from numpy.typing import NDArray

from headstart.evaluation.intervals import Floats

Labels = NDArray[np.intp]

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
