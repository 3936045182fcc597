"""Classification: loss, probabilities, ridge targets, class means and calibration, in one place for every strategy."""

from torch import Tensor
from torch.nn import functional

TEMPERATURES = tuple(2.0**power for power in range(-6, 4))


def loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy: scores (batch, classes), labels (batch,) int64 -> scalar."""
    return functional.cross_entropy(scores, labels)


def probabilities(scores: Tensor) -> Tensor:
    """Softmax over classes: (rows, classes) -> (rows, classes)."""
    return functional.softmax(scores, dim=1)


def accuracy(probability: Tensor, labels: Tensor) -> float:
    """Share of rows whose most probable class is the label."""
    return float((probability.argmax(1) == labels).double().mean())


def ridge_targets(labels: Tensor, classes: int) -> Tensor:
    """(rows, classes) float64: 1 for the row's class, -1 for the others."""
    return functional.one_hot(labels, classes).double() * 2 - 1


def class_means(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """(classes, d): the mean feature vector of each class; every class must have a row."""
    member = functional.one_hot(labels, classes).to(features.dtype)  # (rows, classes)
    return (member.T @ features) / member.sum(0)[:, None]


def calibrate(scores: Tensor, labels: Tensor) -> float:
    """The temperature that gives held-out scores (rows, classes) the least cross-entropy (Guo 2017, 1706.04599)."""
    return min(TEMPERATURES, key=lambda t: float(loss(scores / t, labels)))
