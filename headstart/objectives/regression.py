"""Regression: one value or several for each row, each in its own unit. Heads and losses are of standardised values.

What is said of several values in one number is their mean in standard deviations: no unit weighs more than another.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from headstart.datasets.values import Columns, Value, all_match, columns_of, given_columns, matches
from headstart.objectives import neighbours
from headstart.objectives.calibration import Calibration, half_width
from headstart.objectives.constant import Constant, mean
from headstart.objectives.kinds import VALUE, VALUES, Described, Kind

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from headstart.datasets.pack import Pack

NEIGHBOURS = 10  # whose values are averaged where nothing is chosen


@dataclass(frozen=True)
class Regression:
    """The objective of values: see objective.py for what each part is.

    values: with mean and std of the rows that were trained on; a head's output is a value less the mean, over the std.
    half_widths: of the interval around each value, in its unit; empty where none is given.
    """

    values: tuple[Value, ...]
    half_widths: tuple[float, ...] = ()

    prototype_kind: str = "neighbours"
    classes: tuple[str, ...] = ()

    @staticmethod
    def of(card: Described) -> "Regression":
        return Regression(card.values)

    @property
    def kind(self) -> Kind:
        return VALUE if len(self.values) == 1 else VALUES

    @property
    def outputs(self) -> int:
        return len(self.values)

    def strata(self, examples: "pd.DataFrame") -> list[str]:
        """One for all: rows are drawn in the order of their hashes, whatever their values are."""
        return [""] * len(examples)

    def targets(self, pack: "Pack", rows: "NDArray[np.intp]") -> Tensor:
        return torch.from_numpy(pack.values(rows)).float()

    def shared(self, source: "Pack") -> "tuple[NDArray[np.intp], Tensor]":
        """Rows with values that mean the same; none where one of these is not among the source's."""
        theirs, examples = source.card.values, source.examples
        if not all_match(self.values, theirs):
            return np.zeros(0, dtype=np.intp), torch.zeros(0, len(self.values))
        rows = np.flatnonzero(examples[given_columns(examples)].notna().all(axis=1).to_numpy())
        places = [place for place in matches(self.values, theirs) if place is not None]
        return rows, self.targets(source, rows)[:, places]

    def fitted(self, targets: Tensor) -> "Regression":
        """With the mean and s.d. of these targets; values that are all the same keep an s.d. of 1."""
        columns = targets.double().unbind(1)
        return replace(self, values=tuple(_fitted(own, part) for own, part in zip(self.values, columns, strict=True)))

    def smoothed(self, share: float) -> "Regression":
        """Itself: values have no classes."""
        return self

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error of standardised values: scores, targets (batch, values) -> scalar."""
        return functional.mse_loss(scores, self._standardised(targets))

    def consistency(self, scores: Tensor, believed: Tensor, *, threshold: float) -> Tensor:
        """Mean squared error of standardised values; no value says how sure it is, so that all count."""
        return functional.mse_loss(scores, self._standardised(believed))

    def predict(self, scores: Tensor) -> Tensor:
        """Values in their units: (rows, values) -> (rows, values)."""
        return self._each(scores, lambda part, own: part * own.std + own.mean)

    def row_scores(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Minus the absolute error, in the unit; of several values minus its mean over them, in s.d. of each."""
        return -self._errors(predictions.double() - targets.double()).abs().mean(1)

    def score(self, predictions: Tensor, targets: Tensor) -> float:
        """Minus the mean absolute error, in the same."""
        return float(self.row_scores(predictions, targets).mean())

    def constant(self, predictions: Tensor, targets: Tensor) -> Constant:
        means = self._each(torch.zeros_like(targets), lambda part, own: part + own.mean)
        errors, without = (self._errors((targets - said).double()).abs().mean(1) for said in (predictions, means))
        return mean(errors, without, answer="always the mean", score=float(without.mean()))

    def held_out_loss(self, predictions: Tensor, targets: Tensor) -> float:
        """The mean squared error, in the unit squared; of several values in variances of each."""
        return float((self._errors(predictions.double() - targets.double()) ** 2).mean())

    def ridge_targets(self, targets: Tensor) -> Tensor:
        return self._standardised(targets.double())

    def calibrate(self, scores: Tensor, targets: Tensor) -> float:
        """1: a value has no temperature."""
        return 1.0

    def calibration(self, predictions: Tensor, targets: Tensor, *, level: float) -> Calibration:
        """The half-width of each value's own interval of that level, where there are rows enough for one."""
        errors = (predictions.double() - targets.double()).unbind(1)
        found = tuple(width for part in errors if (width := half_width(part, level=level)) is not None)
        if len(found) < len(self.values):
            return Calibration()
        return Calibration(half_widths=found, level=level, rows=len(targets))

    def calibrated(self, calibration: Calibration) -> "Regression":
        return replace(self, half_widths=calibration.half_widths)

    def tempered(self, predictions: Tensor) -> Tensor:
        """The values themselves."""
        return predictions

    def own_head(self, head: nn.Linear, card: Described) -> "tuple[Regression, Tensor, Tensor] | None":
        """The source's head with the source's scale, where it predicts each of these values."""
        if not all_match(self.values, card.values):
            return None
        places = [place for place in matches(self.values, card.values) if place is not None]
        scaled = tuple(
            replace(own, mean=card.values[place].mean, std=card.values[place].std)
            for own, place in zip(self.values, places, strict=True)
        )
        return Regression(scaled), head.weight.detach()[places], head.bias.detach()[places]

    def start_head(self, head: nn.Linear, source: nn.Linear, card: Described) -> None:
        """Each value takes the source's head brought to this scale, where it predicts the same; else zero."""
        with torch.no_grad():
            head.weight.zero_()
            head.bias.zero_()
            for row, (own, place) in enumerate(zip(self.values, matches(self.values, card.values), strict=True)):
                if place is not None:
                    theirs = card.values[place]
                    head.weight[row] = source.weight[place] * (theirs.std / own.std)
                    head.bias[row] = (source.bias[place] * theirs.std + theirs.mean - own.mean) / own.std

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
        found: dict[str, Any] = {}
        for place, own in enumerate(self._columns):
            values = predictions[:, place].double().numpy()
            width = self.half_widths[place] if self.half_widths else np.nan
            found[own.prediction] = values
            if len(self.values) == 1:
                found["probabilities"] = None
            found |= {own.low: values - width, own.high: values + width}
        return found

    def frame(self, predictions: Tensor) -> "pd.DataFrame":
        import pandas as pd

        found: dict[str, Any] = {}
        for place, own in enumerate(self._columns):
            values = predictions[:, place].numpy()
            found[own.prediction] = values
            if self.half_widths:
                found |= {own.low: values - self.half_widths[place], own.high: values + self.half_widths[place]}
        return pd.DataFrame(found)

    def describe(self) -> dict[str, Any]:
        return {"classes": (), "target_kind": VALUE.name, "values": self.values}

    @property
    def _columns(self) -> tuple[Columns, ...]:
        return columns_of([own.name for own in self.values])

    def _standardised(self, targets: Tensor) -> Tensor:
        return self._each(targets, lambda part, own: (part - own.mean) / own.std)

    def _errors(self, errors: Tensor) -> Tensor:
        """(rows, values): as they are of one value; of several in s.d. of each."""
        return errors if len(self.values) == 1 else self._each(errors, lambda part, own: part / own.std)

    def _each(self, table: Tensor, change: Callable[[Tensor, Value], Tensor]) -> Tensor:
        """(rows, values) -> (rows, values): each column changed by the numbers of its value."""
        return torch.stack([change(part, own) for part, own in zip(table.unbind(1), self.values, strict=True)], dim=1)


def _fitted(value: Value, column: Tensor) -> Value:
    return replace(value, mean=float(column.mean()), std=float(column.std(correction=0)) or 1.0)
