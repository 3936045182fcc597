"""Regression: a value for each row, in the target's own unit. Heads and losses are of standardised values."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from headstart.objectives import neighbours
from headstart.objectives.calibration import Calibration, half_width
from headstart.objectives.constant import Constant, mean
from headstart.objectives.kinds import VALUE, Described, Kind

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from headstart.datasets.pack import Pack

NEIGHBOURS = 10  # whose values are averaged where nothing is chosen


@dataclass(frozen=True)
class Regression:
    """The objective of values: see objective.py for what each part is.

    mean, std: of the values that were trained on, in the unit; a head's output is a value less the mean, over the std.
    half_widths: of the interval around a prediction, in the unit; empty where none is given.
    """

    unit: str
    mean: float = 0.0
    std: float = 1.0
    half_widths: tuple[float, ...] = ()

    kind: Kind = VALUE
    prototype_kind: str = "neighbours"
    classes: tuple[str, ...] = ()
    outputs: int = 1

    @staticmethod
    def of(card: Described) -> "Regression":
        return Regression(card.unit, card.target_mean, card.target_std)

    def strata(self, examples: "pd.DataFrame") -> list[str]:
        """One for all: rows are drawn in the order of their hashes, whatever their values are."""
        return [""] * len(examples)

    def targets(self, pack: "Pack", rows: "NDArray[np.intp]") -> Tensor:
        return torch.from_numpy(pack.values(rows)).float()

    def shared(self, source: "Pack") -> "tuple[NDArray[np.intp], Tensor]":
        """Rows with values in the same named unit."""
        known = source.examples["value"].notna().to_numpy() & self._same(source.card)
        rows = np.flatnonzero(known)
        return rows, self.targets(source, rows)

    def fitted(self, targets: Tensor) -> "Regression":
        """With the mean and s.d. of these targets; values that are all the same keep an s.d. of 1."""
        values = targets.double()
        return replace(self, mean=float(values.mean()), std=float(values.std(correction=0)) or 1.0)

    def smoothed(self, share: float) -> "Regression":
        """Itself: values have no classes."""
        return self

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error of standardised values: scores (batch, 1), targets (batch,) -> scalar."""
        return functional.mse_loss(scores[:, 0], self._standardised(targets))

    def consistency(self, scores: Tensor, believed: Tensor, *, threshold: float) -> Tensor:
        """Mean squared error of standardised values; no value says how sure it is, so that all count."""
        return functional.mse_loss(scores, self._standardised(believed))

    def predict(self, scores: Tensor) -> Tensor:
        """Values in the unit: (rows, 1) -> (rows, 1)."""
        return scores * self.std + self.mean

    def row_scores(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Minus the absolute error, in the unit."""
        return -(predictions[:, 0].double() - targets.double()).abs()

    def score(self, predictions: Tensor, targets: Tensor) -> float:
        """Minus the mean absolute error, in the unit."""
        return float(self.row_scores(predictions, targets).mean())

    def constant(self, predictions: Tensor, targets: Tensor) -> Constant:
        errors, without = (targets - predictions[:, 0]).double().abs(), (targets - self.mean).double().abs()
        return mean(errors, without, answer="always the mean", score=float(without.mean()))

    def held_out_loss(self, predictions: Tensor, targets: Tensor) -> float:
        """The mean squared error, in the unit squared."""
        return float(((predictions[:, 0].double() - targets.double()) ** 2).mean())

    def ridge_targets(self, targets: Tensor) -> Tensor:
        return self._standardised(targets.double())[:, None]

    def calibrate(self, scores: Tensor, targets: Tensor) -> float:
        """1: a value has no temperature."""
        return 1.0

    def calibration(self, predictions: Tensor, targets: Tensor, *, level: float) -> Calibration:
        """The half-width of the interval of that level, where there are rows enough for one."""
        found = half_width(predictions[:, 0].double() - targets.double(), level=level)
        return Calibration() if found is None else Calibration(half_widths=(found,), level=level, rows=len(targets))

    def calibrated(self, calibration: Calibration) -> "Regression":
        return replace(self, half_widths=calibration.half_widths)

    def tempered(self, predictions: Tensor) -> Tensor:
        """The values themselves."""
        return predictions

    def own_head(self, head: nn.Linear, card: Described) -> "tuple[Regression, Tensor, Tensor] | None":
        """The source's head with the source's scale, where it predicts values in the same named unit."""
        if not self._same(card):
            return None
        return Regression.of(card), head.weight.detach().clone(), head.bias.detach().clone()

    def start_head(self, head: nn.Linear, source: nn.Linear, card: Described) -> None:
        """The source's head brought to this scale, where it predicts values in the same named unit; else zero."""
        with torch.no_grad():
            head.weight.zero_()
            head.bias.zero_()
            if self._same(card):
                head.weight.copy_(source.weight * (card.target_std / self.std))
                head.bias.copy_((source.bias * card.target_std + card.target_mean - self.mean) / self.std)

    def prototypes(self, features: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """All labelled rows with their standardised values: the analogue of class means is nearest neighbours."""
        return {
            "features": features,
            "targets": self.vote_targets(targets).to(features),
            "count": torch.tensor([NEIGHBOURS]),
            "temperature": torch.ones(1),
        }

    def from_prototypes(self, features: Tensor, prototypes: dict[str, Tensor]) -> Tensor:
        return neighbours.score(features, prototypes, self.from_votes)

    def vote_targets(self, targets: Tensor) -> Tensor:
        """Standardised values."""
        return self.ridge_targets(targets)

    def from_votes(self, votes: Tensor) -> Tensor:
        """The votes themselves: a mean of values is a value."""
        return votes

    def columns(self, predictions: Tensor) -> dict[str, Any]:
        """A value has no probabilities: null; nor has it an interval where none is given."""
        values = predictions[:, 0].double().numpy()
        low, high = (values - self.half_widths[0], values + self.half_widths[0]) if self.half_widths else (None, None)
        return {"prediction": values, "probabilities": None, "low": low, "high": high}

    def frame(self, predictions: Tensor) -> "pd.DataFrame":
        import pandas as pd

        values = predictions[:, 0].numpy()
        ends = {"low": values - self.half_widths[0], "high": values + self.half_widths[0]} if self.half_widths else {}
        return pd.DataFrame({"prediction": values, **ends})

    def describe(self) -> dict[str, Any]:
        return {
            "classes": (),
            "target_kind": self.kind.name,
            "unit": self.unit,
            "target_mean": self.mean,
            "target_std": self.std,
        }

    def _standardised(self, targets: Tensor) -> Tensor:
        return (targets - self.mean) / self.std

    def _same(self, card: Described) -> bool:
        """Whether a source's values mean the same; two units without a name may be anything."""
        return card.target_kind == self.kind.name and card.unit == self.unit != ""
