"""What the page calls scores and differences: percent and points, or amounts in the target's unit."""

from dataclasses import dataclass
from math import inf
from typing import Any, Protocol

from headstart.evaluation.measures import Measure
from headstart.objectives.kinds import Kind
from headstart.report import words


class Amounts(Protocol):
    """One kind of target on the page.

    kind: its kind, whose part of the page is used. word: the headline metric's name. unit: of a difference.
    scale: the amount that room around figures is relative to. top: the highest score there can be.
    """

    @property
    def word(self) -> str: ...

    @property
    def unit(self) -> str: ...

    @property
    def kind(self) -> Kind: ...

    @property
    def scale(self) -> float: ...

    @property
    def top(self) -> float: ...

    @property
    def axis(self) -> str:
        """What a difference's axis is of: "points of accuracy"."""
        ...

    @property
    def score_axis(self) -> str:
        """What a score's axis is of: "test accuracy"."""
        ...

    @property
    def caption(self) -> str:
        """What the comparison table's numbers are in."""
        ...

    def difference(self, value: Any) -> str:
        """A difference, always signed: "+3.1"."""
        ...

    def amount(self, value: Any) -> str:
        """The same with its unit: "+3.1 points"."""
        ...

    def interval(self, low: Any, high: Any) -> str:
        """ "−2.6 to +8.8"."""
        ...

    def width(self, value: Any) -> str:
        """A half-width or margin with its unit: "3.1 points"."""
        ...

    def score(self, value: Any) -> str:
        """A score: "94.5%"."""
        ...

    def value(self, value: float) -> str:
        """A truth or prediction of values, signed only below zero: "−12.3 degrees"."""
        ...

    def mean_sd(self, mean: Any, sd: Any) -> str:
        """A score and its s.d. over seeds, without the unit: "91.4 ± 1.7"."""
        ...

    def curve_point(self, mean: Any, sd: Any) -> str:
        """The same with it: "91.4 ± 1.7%"."""
        ...

    def tick(self, value: float) -> str:
        """A tick of a score's axis."""
        ...

    def difference_tick(self, value: float) -> str:
        """A tick of a difference's axis."""
        ...


@dataclass(frozen=True)
class _Measured:
    """What both take from their measure."""

    measure: Measure

    @property
    def kind(self) -> Kind:
        return self.measure.kind

    @property
    def scale(self) -> float:
        return self.measure.scale


@dataclass(frozen=True)
class Points(_Measured):
    """Rates of right answers."""

    metric: str
    top: float = 1.0
    caption: str = "Rates in percent"

    @property
    def word(self) -> str:
        return self.metric.replace("_", " ")

    @property
    def unit(self) -> str:
        return "points"

    @property
    def axis(self) -> str:
        return f"points of {self.word}"

    @property
    def score_axis(self) -> str:
        return f"test {self.word}"

    def difference(self, value: Any) -> str:
        return words.points(value)

    def amount(self, value: Any) -> str:
        return words.UNKNOWN if words.known(value) is None else f"{words.points(value)} points"

    def interval(self, low: Any, high: Any) -> str:
        return words.interval(low, high)

    def width(self, value: Any) -> str:
        return f"{words.percent(value).replace('%', '')} points"

    def score(self, value: Any) -> str:
        return words.percent(value)

    def value(self, value: float) -> str:
        return words.percent(value)

    def mean_sd(self, mean: Any, sd: Any) -> str:
        return words.mean_sd(mean, sd)

    def curve_point(self, mean: Any, sd: Any) -> str:
        return f"{words.mean_sd(mean, sd)}%"

    def tick(self, value: float) -> str:
        return f"{round(100 * value, 3):g}%"

    def difference_tick(self, value: float) -> str:
        return _signed_tick(round(value * 100, 3))


@dataclass(frozen=True)
class Units(_Measured):
    """Errors of values in their unit: of scores the lower is better, of differences the higher still."""

    top: float = inf

    @property
    def word(self) -> str:
        return self.kind.word

    @property
    def unit(self) -> str:
        return self.measure.unit or ""

    @property
    def axis(self) -> str:
        return f"lower {self._named}"

    @property
    def score_axis(self) -> str:
        return f"test {self._named} (lower is better)"

    @property
    def caption(self) -> str:
        if self.measure.parts:
            return "Mean errors over values, in standard deviations of each"
        return f"Errors in {self.measure.unit}; R2 is a share" if self.measure.unit else "Errors; R2 is a share"

    def difference(self, value: Any) -> str:
        number = words.known(value)
        return words.UNKNOWN if number is None else self.measure.signed(number).replace("-", words.MINUS)

    def amount(self, value: Any) -> str:
        number = words.known(value)
        return words.UNKNOWN if number is None else self.measure.amount(number).replace("-", words.MINUS, 1)

    def interval(self, low: Any, high: Any) -> str:
        if words.known(low) is None or words.known(high) is None:
            return words.UNKNOWN
        return f"{self.difference(low)} to {self.difference(high)}"

    def width(self, value: Any) -> str:
        number = words.known(value)
        return words.UNKNOWN if number is None else self.measure.size(number)

    def score(self, value: Any) -> str:
        return self.width(value)

    def value(self, value: float) -> str:
        return (words.MINUS if value < 0 else "") + self.width(value)

    def mean_sd(self, mean: Any, sd: Any) -> str:
        number, spread = words.known(mean), words.known(sd)
        if number is None:
            return words.UNKNOWN
        base = self._plain(number)
        return base if spread is None else f"{base} ± {self._plain(spread)}"

    def curve_point(self, mean: Any, sd: Any) -> str:
        return f"{self.mean_sd(mean, sd)} {self.measure.unit or ''}".rstrip()

    def tick(self, value: float) -> str:
        return f"{round(value, 9):,g}".replace("-", words.MINUS)

    def difference_tick(self, value: float) -> str:
        return _signed_tick(round(value, 9))

    @property
    def _named(self) -> str:
        return f"{self.kind.word}, {self.measure.unit}" if self.measure.unit else self.kind.word

    def _plain(self, number: float) -> str:
        return self.measure.signed(abs(number))[1:]


def amounts_of(measure: Measure, metric: str) -> Amounts:
    """The page's words for a measure; metric: the headline's name in the tables."""
    return Points(measure, metric) if measure.exact else Units(measure)


def _signed_tick(rounded: float) -> str:
    """Whole where it can be."""
    return "0" if rounded == 0 else f"{rounded:+g}".replace("-", words.MINUS)
