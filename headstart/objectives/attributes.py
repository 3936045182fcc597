"""Attributes: what the rows of a source may have in place of a class or a value, any of them unknown in any row.

Each attribute weighs the same, whatever the number of its outputs and of the rows that it is known of.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from headstart.datasets.pack import Attribute
from headstart.objectives.calibration import Calibration
from headstart.objectives.constant import Constant, commonest, mean, together
from headstart.objectives.kinds import ATTRIBUTE, Described, Kind

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from headstart.datasets.pack import Pack


@dataclass(frozen=True)
class Attributes:
    """The objective of attributes: see SourceObjective in objective.py for what each part is.

    A head's outputs are one of each yes/no (a logit) and each number (standardised), and one a category of each tag.
    """

    attributes: tuple[Attribute, ...]

    kind: Kind = ATTRIBUTE

    @staticmethod
    def of(card: Described) -> "Attributes":
        return Attributes(card.attributes)

    @property
    def outputs(self) -> int:
        return sum(attribute.outputs for attribute in self.attributes)

    def strata(self, examples: "pd.DataFrame") -> list[str]:
        """One for all: rows are held out in the order of their hashes."""
        return [""] * len(examples)

    def targets(self, pack: "Pack", rows: "NDArray[np.intp]") -> Tensor:
        return torch.from_numpy(pack.attributes(rows)).float()

    def fitted(self, targets: Tensor) -> "Attributes":
        """With the mean and s.d. of each number; those that are all the same keep an s.d. of 1."""
        columns = targets.double().unbind(1)
        return Attributes(tuple(_fitted(own, column) for own, column in zip(self.attributes, columns, strict=True)))

    def smoothed(self, share: float) -> "Attributes":
        """Itself: each attribute has a loss of its own."""
        return self

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Mean over the attributes that a row of the batch has: (batch, outputs), (batch, attributes) -> scalar.

        Of each the mean over the rows that have it: binary cross-entropy, cross-entropy over a tag's categories, or the
        squared error of standardised numbers.
        """
        parts = [_loss(own, *known) for own, *known in self._known(scores, targets)]
        return torch.stack(parts).mean() if parts else scores.sum() * 0

    def predict(self, scores: Tensor) -> Tensor:
        """Probabilities of yes and of each category, numbers as they were given: (rows, outputs) -> (rows, outputs)."""
        return torch.cat([_predict(own, part) for own, part in self._parts(scores)], dim=1)

    def score(self, predictions: Tensor, targets: Tensor) -> float:
        """Mean over attributes of the share of rows that are right, or of R2 (against the training rows' mean)."""
        parts = [_score(own, *known) for own, *known in self._known(predictions, targets)]
        return sum(parts) / len(parts) if parts else 0.0

    def constant(self, predictions: Tensor, targets: Tensor) -> Constant:
        parts = [_constant(own, *known) for own, *known in self._known(predictions, targets)]
        return together(parts, answer=f"the commonest or mean answer to each of {len(self.attributes)} attributes")

    def frame(self, predictions: Tensor) -> "pd.DataFrame":
        """One column an attribute: the probability of yes, the number, or the likeliest category."""
        import pandas as pd

        return pd.DataFrame(
            {
                own.name: np.array(own.categories)[part.argmax(1).numpy()] if own.categories else part[:, 0].numpy()
                for own, part in self._parts(predictions)
            }
        )

    def calibrated(self, calibration: Calibration) -> "Attributes":
        """Itself: attributes are learned from, and nobody asks how sure they are."""
        return self

    def describe(self) -> dict[str, Any]:
        return {"classes": (), "target_kind": self.kind.name, "attributes": self.attributes}

    def _parts(self, outputs: Tensor) -> "list[tuple[Attribute, Tensor]]":
        """Each attribute with its outputs, (rows, own outputs)."""
        parts = torch.split(outputs, [own.outputs for own in self.attributes], dim=1)
        return list(zip(self.attributes, parts, strict=True))

    def _known(self, outputs: Tensor, targets: Tensor) -> "Iterator[tuple[Attribute, Tensor, Tensor]]":
        """Each attribute that any row has, with those rows' outputs (rows, own outputs) and targets (rows,)."""
        for (own, part), column in zip(self._parts(outputs), targets.unbind(1), strict=True):
            rows = ~column.isnan()
            if rows.any():
                yield own, part[rows], column[rows]


def _fitted(attribute: Attribute, column: Tensor) -> Attribute:
    known = column[~column.isnan()]
    if attribute.kind != "number" or not len(known):
        return attribute
    return replace(attribute, mean=float(known.mean()), std=float(known.std(correction=0)) or 1.0)


def _loss(attribute: Attribute, scores: Tensor, targets: Tensor) -> Tensor:
    if attribute.kind == "tag":
        return functional.cross_entropy(scores, targets.long())
    if attribute.kind == "yes/no":
        return functional.binary_cross_entropy_with_logits(scores[:, 0], targets)
    return functional.mse_loss(scores[:, 0], (targets - attribute.mean) / attribute.std)


def _predict(attribute: Attribute, scores: Tensor) -> Tensor:
    if attribute.kind == "tag":
        return functional.softmax(scores, dim=1)
    return scores.sigmoid() if attribute.kind == "yes/no" else scores * attribute.std + attribute.mean


def _score(attribute: Attribute, predictions: Tensor, targets: Tensor) -> float:
    if attribute.kind == "number":
        return float(1 - (((predictions[:, 0] - targets) / attribute.std).double() ** 2).mean())
    return float((_said(attribute, predictions) == targets.long()).double().mean())


def _constant(attribute: Attribute, predictions: Tensor, targets: Tensor) -> Constant:
    if attribute.kind == "number":
        errors, without = (
            (((said - targets) / attribute.std).double() ** 2) for said in (predictions[:, 0], attribute.mean)
        )
        return mean(errors, without, answer="always the mean", score=float(1 - without.mean()))
    return commonest(_said(attribute, predictions), targets, answer="always the commonest")


def _said(attribute: Attribute, predictions: Tensor) -> Tensor:
    """(rows,): the likeliest category of each, or whether yes is likelier."""
    return predictions.argmax(1) if attribute.kind == "tag" else (predictions[:, 0] > 0.5).long()
