"""What a comparison is measured in: right answers, or errors in the target's own unit. Higher scores are better."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, inf, log10
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headstart.datasets.values import OF_CLASS, OF_ONE, Columns, Value, columns_of
from headstart.errors import DataError
from headstart.evaluation.intervals import Floats
from headstart.evaluation.metrics import accuracy, log_loss, macro_f1, mae, r2, rmse
from headstart.evaluation.settings import EvaluationSettings
from headstart.objectives.kinds import CLASS, VALUE, VALUES, Described, Kind, kind_of

Numbers = NDArray[Any]  # class indices, or values; (rows, values) of several


UNEVEN = 1.5  # times an even share from which on the largest class is worth a warning


class Measure(Protocol):
    """One kind of target in numbers and words.

    columns: of the truth and of predictions, several of several values. unit: what amounts are in, None for fractions.
    parts: of several values each one's name, and the measure of it alone; none of classes and of one value.
    scale: the amount that floors and margins are relative to: 1, or the target's s.d. largest: difference there can be.
    best: the score of a model that makes no errors. exact: whether flips are all there is to a difference.
    """

    @property
    def kind(self) -> Kind: ...

    @property
    def columns(self) -> tuple[Columns, ...]: ...

    @property
    def parts(self) -> "tuple[tuple[str, Error], ...]": ...

    @property
    def unit(self) -> str | None: ...

    @property
    def scale(self) -> float: ...

    @property
    def largest(self) -> float: ...

    @property
    def best(self) -> float: ...

    @property
    def exact(self) -> bool: ...

    def read(self, given: pd.DataFrame, classes: Sequence[str], what: str) -> Numbers:
        """Truths or predictions as numbers: (rows,), or of several values (rows, values).

        given: a column for each of `columns`, in their order.

        Raises:
            DataError: one is no class, or no finite number.
        """
        ...

    def written(self, numbers: Numbers, classes: Sequence[str]) -> NDArray[Any]:
        """The same as the tables have them."""
        ...

    def best_constant(self, truth: Numbers, classes: Sequence[str]) -> tuple[str, float] | None:
        """An answer that needs no model and scores well, as classes are uneven, and its score; None if none does."""
        ...

    def row_scores(self, truth: Numbers, prediction: Numbers) -> Floats:
        """(rows,): how good each prediction is; their mean is the score, so that differences add up over rows."""
        ...

    def metrics(self, truth: Numbers, prediction: Numbers, probabilities: Floats | None) -> list[tuple[str, float]]:
        """Every metric of one training's test predictions, the headline one first."""
        ...

    def margin(self, settings: EvaluationSettings) -> float:
        """Differences below this count as equivalent."""
        ...

    def row_variance(self, settings: EvaluationSettings) -> float:
        """Variance over test rows of the difference of two entrants that is expected before training, over scale^2."""
        ...

    def signed(self, difference: float) -> str:
        """A difference with its sign, without the unit: "+11.2"."""
        ...

    def amount(self, difference: float) -> str:
        """A difference with its sign and unit: "+11.2 points"."""
        ...

    def size(self, width: float) -> str:
        """An amount without a sign: "1 point"."""
        ...

    def about(self, width: float) -> str:
        """The same of what is only expected."""
        ...

    def expectation(self, row_variance: float, unit: str) -> str:
        """What is expected of two entrants on the test rows (or groups), in words."""
        ...

    def level(self, score: float) -> str:
        """A score as people say it: "91.0%", "12.3 degrees"."""
        ...

    def compared(self, strategy: str, opponent: str, difference: float) -> tuple[str, str]:
        """Who is how much better than whom, and what the brackets that follow begin with."""
        ...


@dataclass(frozen=True)
class Rate:
    """Right answers: accuracy, in fractions; points are percentage points."""

    kind: Kind = CLASS
    columns: tuple[Columns, ...] = (OF_CLASS,)
    parts: "tuple[tuple[str, Error], ...]" = ()
    unit: str | None = None
    scale: float = 1.0
    largest: float = 1.0
    best: float = 1.0
    exact: bool = True

    def read(self, given: pd.DataFrame, classes: Sequence[str], what: str) -> Numbers:
        names = given.iloc[:, 0].astype(str)
        codes: Numbers = pd.Index(list(classes)).get_indexer(pd.Index(names))
        if (codes < 0).any():
            unknown = names.to_numpy()[codes < 0][0]
            raise DataError(f"{what} has class {str(unknown)!r}; the classes are {', '.join(classes)}")
        return codes

    def written(self, numbers: Numbers, classes: Sequence[str]) -> NDArray[Any]:
        return np.array(classes, dtype=object)[numbers]

    def best_constant(self, truth: Numbers, classes: Sequence[str]) -> tuple[str, float] | None:
        """The most frequent class and its share, where that is far from an even one."""
        counts = np.bincount(truth, minlength=len(classes))
        share = float(counts.max() / counts.sum())
        return (classes[int(counts.argmax())], share) if share >= UNEVEN / len(classes) else None

    def row_scores(self, truth: Numbers, prediction: Numbers) -> Floats:
        """1 where the prediction is the truth, else 0."""
        scores: Floats = (prediction == truth).astype(np.float64)
        return scores

    def metrics(self, truth: Numbers, prediction: Numbers, probabilities: Floats | None) -> list[tuple[str, float]]:
        assert probabilities is not None
        return [
            ("accuracy", accuracy(truth, prediction)),
            ("macro_f1", macro_f1(truth, prediction)),
            ("log_loss", log_loss(truth, probabilities)),
        ]

    def margin(self, settings: EvaluationSettings) -> float:
        return settings.margin

    def row_variance(self, settings: EvaluationSettings) -> float:
        return settings.expected_disagreement

    def signed(self, difference: float) -> str:
        return points(difference)

    def amount(self, difference: float) -> str:
        return f"{points(difference)} points"

    def size(self, width: float) -> str:
        number = float(f"{100 * width:.6g}")
        return f"{number:,g} point" if number == 1 else f"{number:,g} points"

    def about(self, width: float) -> str:
        return f"{100 * width:.1f} points"

    def expectation(self, row_variance: float, unit: str) -> str:
        return f"expecting {100 * row_variance:.4g}% of the {unit} to differ"

    def level(self, score: float) -> str:
        return f"{score:.1%}"

    def compared(self, strategy: str, opponent: str, difference: float) -> tuple[str, str]:
        return f"{strategy} {self.amount(difference)} {'over' if difference > 0 else 'against'} {opponent}", ""


@dataclass(frozen=True)
class Error:
    """Absolute errors of values in their unit; a row's score is minus its error, so that positive is better still.

    scale: s.d. of the target's values outside the test rows. largest: an error has no bound.
    """

    unit: str | None
    scale: float
    kind: Kind = VALUE
    columns: tuple[Columns, ...] = (OF_ONE,)
    parts: "tuple[tuple[str, Error], ...]" = ()
    largest: float = inf
    best: float = 0.0
    exact: bool = False

    def read(self, given: pd.DataFrame, classes: Sequence[str], what: str) -> Numbers:
        own = given.iloc[:, 0]
        values = pd.to_numeric(own, errors="coerce").to_numpy(dtype=np.float64)
        if not np.isfinite(values).all():
            odd = own.to_numpy()[~np.isfinite(values)][0]
            raise DataError(
                f"{what} has the value {str(odd)!r}, which is no finite number; a training that diverged does that:"
                " lower its learning rate"
            )
        return values

    def written(self, numbers: Numbers, classes: Sequence[str]) -> NDArray[Any]:
        return numbers

    def best_constant(self, truth: Numbers, classes: Sequence[str]) -> tuple[str, float] | None:
        """None: the error of the mean is what R2 is measured from."""
        return None

    def row_scores(self, truth: Numbers, prediction: Numbers) -> Floats:
        """Minus the absolute error."""
        scores: Floats = -np.abs(prediction - truth)
        return scores

    def metrics(self, truth: Numbers, prediction: Numbers, probabilities: Floats | None) -> list[tuple[str, float]]:
        return [("mae", mae(truth, prediction)), ("rmse", rmse(truth, prediction)), ("r2", r2(truth, prediction))]

    def margin(self, settings: EvaluationSettings) -> float:
        return settings.value_margin * self.scale

    def row_variance(self, settings: EvaluationSettings) -> float:
        return settings.expected_error_sd**2

    def signed(self, difference: float) -> str:
        """With as many decimals as show a hundredth of the s.d.; with more where those would hide the sign."""
        decimals = self.decimals
        while difference and decimals < 12 and float(f"{difference:.{decimals}f}") == 0.0:
            decimals += 1
        return f"{difference + 0.0:+,.{decimals}f}"

    def amount(self, difference: float) -> str:
        return self._with_unit(self.signed(difference))

    def size(self, width: float) -> str:
        return self._with_unit(self.signed(abs(width))[1:])

    def about(self, width: float) -> str:
        return self.size(width)

    def expectation(self, row_variance: float, unit: str) -> str:
        spread = self.size(row_variance**0.5 * self.scale)
        return f"expecting differences of errors with an s.d. of {spread} over the {unit}"

    def level(self, score: float) -> str:
        return self.size(score)

    def compared(self, strategy: str, opponent: str, difference: float) -> tuple[str, str]:
        """Lower errors are a gain: where they are higher, the brackets say that the gain is negative."""
        whose = f"that of {opponent}" if " as " in opponent else f"{opponent}'s"
        lower = "lower" if difference > 0 else "higher"
        said = f"{strategy}'s {self.kind.word} is {self.size(difference)} {lower} than {whose}"
        return said, "" if difference > 0 else f"gain {self.signed(difference)}, "

    @property
    def decimals(self) -> int:
        return max(0, 2 - floor(log10(self.scale)))

    def _with_unit(self, text: str) -> str:
        return f"{text} {self.unit}" if self.unit else text


@dataclass(frozen=True)
class ScaledError(Error):
    """The scaled MAE of several values: of each row the mean over values of |error| over the value's s.d.

    The s.d. is that of the target's values outside the test rows, as `Error.scale` is: it is known before a test label
    is opened, and the same for all entrants. 0.8 or so is what always saying the mean scores. Positive is better still.
    """

    parts: tuple[tuple[str, Error], ...] = ()
    columns: tuple[Columns, ...] = ()
    unit: str | None = "s.d."
    scale: float = 1.0
    kind: Kind = VALUES

    def read(self, given: pd.DataFrame, classes: Sequence[str], what: str) -> Numbers:
        """(rows, values)."""
        each = [
            part.read(given.iloc[:, [place]], classes, f"{what}, {name},")
            for place, (name, part) in enumerate(self.parts)
        ]
        return np.stack(each, axis=1)

    def row_scores(self, truth: Numbers, prediction: Numbers) -> Floats:
        """Minus the mean over values of the absolute error in standard deviations."""
        scores: Floats = -(np.abs(prediction - truth) / [part.scale for _, part in self.parts]).mean(axis=1)
        return scores

    def metrics(self, truth: Numbers, prediction: Numbers, probabilities: Floats | None) -> list[tuple[str, float]]:
        """The scaled MAE, then mae.x, rmse.x and r2.x of each value in its own unit."""
        found = [(self.kind.metric, -float(self.row_scores(truth, prediction).mean()))]
        for place, (name, part) in enumerate(self.parts):
            own = part.metrics(truth[:, place], prediction[:, place], None)
            found += [(f"{metric}.{name}", value) for metric, value in own]
        return found


RATE = Rate()


def measure_of(card: Described) -> Measure:
    """The measure of a card's targets.

    Raises:
        IntegrityError: this version knows no such kind.
    """
    return RATE if kind_of(card) is RATE.kind else measure_of_values(card.values)


def measure_of_values(values: Sequence[Value]) -> Measure:
    """Of one value its error in its unit; of several their mean error in standard deviations."""
    names = tuple(own.name for own in values)
    each = tuple(Error(own.unit or None, own.std or 1.0) for own in values)
    return (
        each[0]
        if len(each) == 1
        else ScaledError(parts=tuple(zip(names, each, strict=True)), columns=columns_of(names))
    )


def points(fraction: float) -> str:
    """Percentage points, signed: +11.2; with a second decimal where the first would hide the sign."""
    text = f"{100 * fraction:+.1f}"
    if float(text) == 0.0:
        return f"{100 * fraction:+.2f}" if fraction else "+0.0"
    return text
