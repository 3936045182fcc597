"""What a target asks of a model: head, loss, predictions, scores. Nothing outside this room asks for its kind."""

from collections.abc import Callable
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor, nn

from headstart.datasets.pack import Pack
from headstart.errors import IntegrityError
from headstart.objectives.attributes import Attributes
from headstart.objectives.calibration import Calibration
from headstart.objectives.classification import Classification
from headstart.objectives.constant import Constant
from headstart.objectives.kinds import ATTRIBUTE, Described, Kind, kind_of
from headstart.objectives.regression import Regression


class SourceObjective(Protocol):
    """What the rows of a source ask of a network that learns from them.

    Scores are a head's outputs, (rows, outputs). Predictions are what is said of them: probabilities (rows, classes),
    or values (rows, values) in the target's units. Targets are class numbers (rows,) int64, values (rows, values)
    float32, or of attributes (rows, attributes), nan where unknown.
    """

    @property
    def kind(self) -> Kind: ...

    @property
    def outputs(self) -> int: ...

    def strata(self, examples: pd.DataFrame) -> list[str]:
        """What labels are drawn and held out evenly by, a name a row."""
        ...

    def targets(self, pack: Pack, rows: NDArray[np.intp]) -> Tensor:
        """Targets of labelled rows."""
        ...

    def fitted(self, targets: Tensor) -> Self:
        """The same with its scale taken from the training rows' targets."""
        ...

    def smoothed(self, share: float) -> Self:
        """The same, whose loss gives so large a share of each label to all classes alike; itself without classes."""
        ...

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """What a training makes small: a scalar."""
        ...

    def predict(self, scores: Tensor) -> Tensor:
        """Predictions from scores."""
        ...

    def score(self, predictions: Tensor, targets: Tensor) -> float:
        """How good predictions are, higher is better; `kind.value` makes the metric of it."""
        ...

    def constant(self, predictions: Tensor, targets: Tensor) -> Constant:
        """How these predictions stand against one answer that is the same for all rows."""
        ...

    def calibrated(self, calibration: Calibration) -> Self:
        """The same whose predictions are as sure as a calibration has it, and have its intervals."""
        ...

    def frame(self, predictions: Tensor) -> pd.DataFrame:
        """One row a prediction, as a delivered model answers: prediction, and a probability a class where there are.

        Of values low and high, the ends of the interval, where there is one; of several <name>, <name>_low,
        <name>_high.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """The fields by which a card of weights says all this."""
        ...


class Objective(SourceObjective, Protocol):
    """What a target asks besides: the parts that the strategies and the comparison are put together from.

    prototype_kind: what weights that hold the source entrant's prototypes are called.
    """

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def prototype_kind(self) -> str: ...

    def shared(self, source: Pack) -> tuple[NDArray[np.intp], Tensor]:
        """A source's rows whose targets mean the same as these, and their targets; maybe none."""
        ...

    def consistency(self, scores: Tensor, believed: Tensor, *, threshold: float) -> Tensor:
        """The loss of scores against predictions in place of targets: a scalar. threshold: how sure they must be."""
        ...

    def row_scores(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """(rows,) float64: how good each prediction is, higher is better; `score` is their mean."""
        ...

    def held_out_loss(self, predictions: Tensor, targets: Tensor) -> float:
        """What decides between equal scores, lower is better."""
        ...

    def ridge_targets(self, targets: Tensor) -> Tensor:
        """(rows, outputs) float64: what a linear head in closed form is fitted to."""
        ...

    def calibrate(self, scores: Tensor, targets: Tensor) -> float:
        """What held-out scores are divided by, so that their predictions are as sure as they may be."""
        ...

    def calibration(self, predictions: Tensor, targets: Tensor, *, level: float) -> Calibration:
        """What held-out rows say: their predictions, by scores that nothing was done to, and targets.

        level: of the intervals of values.
        """
        ...

    def tempered(self, predictions: Tensor) -> Tensor:
        """Predictions by scores that nothing was done to, as this objective's calibration would have them."""
        ...

    def own_head(self, head: nn.Linear, card: Described) -> "tuple[Objective, Tensor, Tensor] | None":
        """A source model's head as a head for these targets: its objective, weight and bias; None if it has another."""
        ...

    def start_head(self, head: nn.Linear, source: nn.Linear, card: Described) -> None:
        """Starts a head from the source's where that means the same, else from zero (as big_vision does)."""
        ...

    def prototypes(self, features: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """What labelled features (rows, d) of unit length leave behind: class means, or the rows themselves."""
        ...

    def from_prototypes(self, features: Tensor, prototypes: dict[str, Tensor]) -> Tensor:
        """Scores of features (rows, d) of unit length by their nearness to prototypes."""
        ...

    def vote_targets(self, targets: Tensor) -> Tensor:
        """(rows, outputs) float64: what nearest neighbours average."""
        ...

    def from_votes(self, votes: Tensor) -> Tensor:
        """Scores of the averages (rows, outputs) that neighbours gave."""
        ...

    def columns(self, predictions: Tensor) -> dict[str, Any]:
        """prediction, probabilities, low and high, as a table of predictions has them; null where there are none.

        Of several values <name>, <name>_low and <name>_high of each.
        """
        ...


def objective_of(card: Described) -> Objective:
    """The objective of a target, or of a model that answers for one.

    Raises:
        IntegrityError: this version knows no such kind, or it is one of sources alone.
    """
    makers: dict[str, Callable[[Described], Objective]] = {"class": Classification.of, "value": Regression.of}
    kind = kind_of(card)
    if card.target_kind not in makers:
        raise IntegrityError(f"{kind.targets} are learned from in a source, and are never a target's")
    return makers[card.target_kind](card)


def source_objective_of(card: Described) -> SourceObjective:
    """The objective of a source's rows.

    Raises:
        IntegrityError: this version knows no such kind.
    """
    return Attributes.of(card) if kind_of(card) is ATTRIBUTE else objective_of(card)
