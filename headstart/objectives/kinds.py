"""The kinds of targets there are, and what each is called in logs and tables. Torch-free."""

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Protocol

from headstart.errors import IntegrityError

if TYPE_CHECKING:
    from headstart.datasets.pack import Attribute


class Described(Protocol):
    """What a card says of its targets; the cards of packs and of weights both do.

    target_mean, target_std: of the values that its rows (or its training rows) have, in the target's unit.
    """

    @property
    def target_kind(self) -> str: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def unit(self) -> str: ...

    @property
    def target_mean(self) -> float: ...

    @property
    def target_std(self) -> float: ...

    @property
    def attributes(self) -> "tuple[Attribute, ...]": ...


@dataclass(frozen=True)
class Kind:
    """metric, word: what a validation score says, in tables and in sentences. Scores are higher where better.

    each: what a label budget is counted by: " a class", or nothing where it is all the labelled rows there are.
    targets: what rows have, in words.
    """

    name: str
    metric: str
    word: str
    sign: int
    each: str
    targets: str

    @property
    def bounds(self) -> tuple[float, float]:
        """Between which a row's score lies: right or wrong, or minus an error."""
        return (0.0, 1.0) if self.sign > 0 else (-inf, 0.0)

    def value(self, score: float) -> float:
        """The metric's own value: 0.9 for an accuracy of 0.9, 3.2 for the score -3.2 of a mean absolute error."""
        return self.sign * score

    def labels(self, budget: int) -> str:
        """A label budget in words: "10 labels a class", "10 labels"."""
        return f"{budget} labels{self.each}"


FEWEST_TO_CALIBRATE = 10  # held-out rows that a temperature is fitted to; fewer say more of themselves than of a model
CLASS = Kind("class", "accuracy", "accuracy", 1, " a class", "classes")
VALUE = Kind("value", "mae", "MAE", -1, "", "values")
ATTRIBUTE = Kind("attribute", "attribute_score", "attribute score", 1, "", "attributes")  # of sources alone
KINDS = {kind.name: kind for kind in (CLASS, VALUE, ATTRIBUTE)}


def kind_of(card: Described) -> Kind:
    """The kind of a card's targets.

    Raises:
        IntegrityError: this version knows no such kind.
    """
    if card.target_kind not in KINDS:
        raise IntegrityError(f"targets of kind {card.target_kind!r} are unknown; known are {', '.join(KINDS)}")
    return KINDS[card.target_kind]
