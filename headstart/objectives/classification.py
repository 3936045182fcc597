"""Classification: loss, probabilities, ridge targets, class means and calibration, in one place for every strategy."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from headstart.objectives.calibration import Calibration
from headstart.objectives.constant import Constant, commonest
from headstart.objectives.kinds import CLASS, FEWEST_TO_CALIBRATE, Described, Kind

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from headstart.datasets.pack import Pack

UNSEEN = 0.01  # vote of a class that none of the neighbours has
BELIEVED = 20.0  # held-out rows that a network's own probabilities count as many as, when a temperature is fitted
SIGNIFICANT = 3.84  # chi-squared of one degree of freedom at 5%
TEMPERATURES: tuple[float, ...] = tuple(2.0 ** (step / 4) for step in range(-24, 13))  # 1/64 to 8, four an octave


def loss(scores: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy: scores (batch, classes), labels (batch,) int64 -> scalar."""
    return functional.cross_entropy(scores, labels, label_smoothing=smoothing)


def probabilities(scores: Tensor) -> Tensor:
    """Softmax over classes: (rows, classes) -> (rows, classes)."""
    return functional.softmax(scores, dim=1)


def log_probabilities(probability: Tensor) -> Tensor:
    """Scores, float64, whose softmax are these: (rows, classes) -> (rows, classes). 0 becomes the least above it."""
    return probability.double().clamp_min(torch.finfo(probability.dtype).tiny).log()


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
    """The temperature that gives held-out scores (rows, classes) the least cross-entropy (Guo 2017, 1706.04599).

    The targets are smoothed as Platt's are (1999): of n rows that are right, the next one is with
    probability (n + 1) / (n + 2). Otherwise a few rows that are all right would ask for certainty.
    """
    rows, others = len(labels), max(scores.shape[1] - 1, 1)
    smoothing = (1 + 1 / others) / (rows + 2)  # torch spreads it over all classes, the true one included

    def smoothed_loss(temperature: float) -> float:
        return float(functional.cross_entropy(scores / temperature, labels, label_smoothing=smoothing))

    return min(TEMPERATURES, key=smoothed_loss)


def recalibrate(predictions: Tensor, targets: Tensor, own: float = BELIEVED) -> float:
    """The temperature for probabilities (rows, classes) that may be right as they are, by held-out targets (rows,).

    The least cross-entropy of the targets and, with the weight of `own` rows, against the probabilities as they are:
    a prior at 1. It stays 1 where the targets alone do not speak against it (a likelihood ratio test at 5%): a few rows
    that are all right ask for certainty, or by Platt's prior for doubt, and neither is so (docs/methods.md).
    """
    scores, rows = log_probabilities(predictions), len(targets)

    def expected(temperature: float) -> float:
        scaled = scores / temperature
        told, believed = (functional.cross_entropy(scaled, each) for each in (targets, predictions.double()))
        return float(rows * told + own * believed)

    told = [
        float(rows * functional.cross_entropy(scores / temperature, targets)) for temperature in (1.0, *TEMPERATURES)
    ]
    if 2 * (told[0] - min(told)) < SIGNIFICANT:
        return 1.0
    return min(TEMPERATURES, key=expected)


def nearness(features: Tensor, means: Tensor) -> Tensor:
    """Scores (rows, classes): minus the squared distance to each class mean."""
    return -(torch.cdist(features, means) ** 2)


def matching_head(head: nn.Linear, source: nn.Linear, ours: Sequence[str], theirs: Sequence[str]) -> None:
    """Starts a head from the source's rows where the class names match, from zero elsewhere (as big_vision does)."""
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
        for row, name in enumerate(ours):
            if name in theirs:
                other = list(theirs).index(name)
                head.weight[row] = source.weight[other]
                head.bias[row] = source.bias[other]


@dataclass(frozen=True)
class Classification:
    """The objective of class labels: see objective.py for what each part is."""

    classes: tuple[str, ...]
    smoothing: float = 0.0
    temperature: float = 1.0

    kind: Kind = CLASS
    prototype_kind: str = "means"

    @staticmethod
    def of(card: Described) -> "Classification":
        return Classification(card.classes)

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def strata(self, examples: "pd.DataFrame") -> list[str]:
        """The classes themselves: a label budget is so many rows of each."""
        return list(examples["label"])

    def targets(self, pack: "Pack", rows: "NDArray[np.intp]") -> Tensor:
        return torch.from_numpy(pack.class_numbers(rows))

    def shared(self, source: "Pack") -> "tuple[NDArray[np.intp], Tensor]":
        """Rows of classes of the same names."""
        number = {name: index for index, name in enumerate(self.classes)}
        found = source.examples["label"].map(number)
        rows = np.flatnonzero(found.notna().to_numpy())
        return rows, torch.from_numpy(found.to_numpy(dtype=np.float64)[rows].astype(np.int64))

    def fitted(self, targets: Tensor) -> "Classification":
        """Itself: classes have no scale."""
        return self

    def smoothed(self, share: float) -> "Classification":
        return replace(self, smoothing=share)

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        return loss(scores, targets, self.smoothing)

    def consistency(self, scores: Tensor, believed: Tensor, *, threshold: float) -> Tensor:
        """Cross-entropy against the class that is believed, of the rows where it is believed enough; over all rows."""
        sure, classes = believed.max(1)
        each = functional.cross_entropy(scores, classes, reduction="none")
        return (each * (sure >= threshold)).mean()

    def predict(self, scores: Tensor) -> Tensor:
        return probabilities(scores / self.temperature if self.temperature != 1 else scores)

    def row_scores(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """1 where the most probable class is the label, else 0."""
        return (predictions.argmax(1) == targets).double()

    def score(self, predictions: Tensor, targets: Tensor) -> float:
        return accuracy(predictions, targets)

    def constant(self, predictions: Tensor, targets: Tensor) -> Constant:
        return commonest(predictions.argmax(1), targets, answer=f"always the commonest of {self.outputs} classes")

    def held_out_loss(self, predictions: Tensor, targets: Tensor) -> float:
        """Mean of -ln(probability of the true class), in nats."""
        chosen = predictions[torch.arange(len(targets)), targets].double().clamp_min(1e-12)
        return float(-chosen.log().mean())

    def ridge_targets(self, targets: Tensor) -> Tensor:
        return ridge_targets(targets, len(self.classes))

    def calibrate(self, scores: Tensor, targets: Tensor) -> float:
        return calibrate(scores, targets)

    def calibration(self, predictions: Tensor, targets: Tensor, *, level: float) -> Calibration:
        """The temperature, where there are rows enough to fit one."""
        if len(targets) < FEWEST_TO_CALIBRATE:
            return Calibration()
        return Calibration(temperature=recalibrate(predictions, targets), rows=len(targets))

    def calibrated(self, calibration: Calibration) -> "Classification":
        return replace(self, temperature=calibration.temperature)

    def tempered(self, predictions: Tensor) -> Tensor:
        """The same to the bit at a temperature of 1."""
        if self.temperature == 1:
            return predictions
        return self.predict(log_probabilities(predictions)).to(predictions.dtype)

    def own_head(self, head: nn.Linear, card: Described) -> "tuple[Classification, Tensor, Tensor] | None":
        """Each class takes the head's row of that name, where the source knows them all."""
        if not set(self.classes) <= set(card.classes):
            return None
        rows = [card.classes.index(name) for name in self.classes]
        return self, head.weight.detach()[rows], head.bias.detach()[rows]

    def start_head(self, head: nn.Linear, source: nn.Linear, card: Described) -> None:
        matching_head(head, source, self.classes, card.classes)

    def prototypes(self, features: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The class means, and the temperature that calibrates the distances to them."""
        means = class_means(features, targets, len(self.classes))
        return {"means": means, "temperature": torch.tensor([calibrate(nearness(features, means), targets)])}

    def from_prototypes(self, features: Tensor, prototypes: dict[str, Tensor]) -> Tensor:
        return nearness(features, prototypes["means"]) / prototypes["temperature"]

    def vote_targets(self, targets: Tensor) -> Tensor:
        """1 for the row's class, 0 for the others."""
        return functional.one_hot(targets, len(self.classes)).double()

    def from_votes(self, votes: Tensor) -> Tensor:
        """Their logarithm; a class without a vote stays possible."""
        return ((votes + UNSEEN) / (1 + UNSEEN * len(self.classes))).log()

    def columns(self, predictions: Tensor) -> dict[str, Any]:
        return {
            "prediction": np.array(self.classes)[predictions.argmax(1).numpy()],
            "probabilities": list(predictions.numpy().astype(np.float32)),
            "low": None,
            "high": None,
        }

    def frame(self, predictions: Tensor) -> "pd.DataFrame":
        import pandas as pd

        table = pd.DataFrame(predictions.numpy(), columns=[f"probability.{name}" for name in self.classes])
        table.insert(0, "prediction", np.array(self.classes)[predictions.argmax(1).numpy()])
        return table

    def describe(self) -> dict[str, Any]:
        return {"classes": self.classes}
