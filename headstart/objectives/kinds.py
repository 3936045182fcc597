"""The kinds of targets there are, and what each is called in logs and tables. Torch-free."""

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Protocol

from headstart.errors import IntegrityError

if TYPE_CHECKING:
    from headstart.datasets.pack import Attribute
    from headstart.datasets.values import Value


class Described(Protocol):
    """What a card says of its targets; the cards of packs and of weights both do.

    values: what rows are asked for where that is numbers, with means and s.d. of the rows (or of the training rows).
    """

    @property
    def target_kind(self) -> str: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def values(self) -> "tuple[Value, ...]": ...

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
VALUES = Kind("values", "scaled_mae", "scaled MAE", -1, "", "values")  # several a row: cards say "value" of these too
ATTRIBUTE = Kind("attribute", "attribute_score", "attribute score", 1, "", "attributes")  # of sources alone
KINDS = {kind.name: kind for kind in (CLASS, VALUE, VALUES, ATTRIBUTE)}
OF_CARDS = (CLASS.name, VALUE.name, ATTRIBUTE.name)


def kind_of(card: Described) -> Kind:
    """The kind of a card's targets.

    Raises:
        IntegrityError: this version knows no such kind.
    """
    if card.target_kind not in OF_CARDS:
        raise IntegrityError(f"targets of kind {card.target_kind!r} are unknown; known are {', '.join(OF_CARDS)}")
    return VALUES if len(card.values) > 1 else KINDS[card.target_kind]
