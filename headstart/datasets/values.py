"""Values: the numbers that a row has in place of a class, with their names and units, and what tables call them.

Where rows have one value its columns have names of their own (prediction, low, high), whatever the user's column is
called; of several each bears its name (x, x_low, x_high). Torch-free.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from headstart.errors import SettingsError

PREFIX = "value."  # of each of several in a pack


@dataclass(frozen=True)
class Value:
    """name: of its column. unit: "" where nobody names it. mean, std: over the rows that they were taken from."""

    name: str
    unit: str = ""
    mean: float = 0.0
    std: float = 1.0

    def __str__(self) -> str:
        """Such as "angle (degrees)"."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


@dataclass(frozen=True)
class Columns:
    """What tables call a target: given in a pack and with its test labels; the others beside its predictions."""

    given: str
    truth: str = "truth"
    prediction: str = "prediction"
    low: str = "low"
    high: str = "high"


OF_CLASS = Columns("label")
OF_ONE = Columns("value")


def columns_of(names: Sequence[str]) -> tuple[Columns, ...]:
    """Of each of these values."""
    if len(names) == 1:
        return (OF_ONE,)
    return tuple(Columns(f"{PREFIX}{name}", f"{name}_truth", name, f"{name}_low", f"{name}_high") for name in names)


def given_columns(table: Iterable[Any]) -> list[str]:
    """The columns of a pack's table that hold values, in their order."""
    return [str(name) for name in table if name == OF_ONE.given or str(name).startswith(PREFIX)]


def with_units(names: Sequence[str], units: Sequence[str]) -> tuple[Value, ...]:
    """Values with their units: one for all of them, one for each, or none that is named.

    Raises:
        SettingsError: units of another number.
    """
    if len(units) > 1 and len(units) != len(names):
        raise SettingsError(
            f"{len(units)} units ({', '.join(units)}) are named for {counted(names)}; give one unit for all, or one "
            "for each in the order of data.value_columns (target.unit, source.unit)"
        )
    each = tuple(units) * len(names) if len(units) == 1 else tuple(units) or ("",) * len(names)
    return tuple(Value(name, unit) for name, unit in zip(names, each, strict=True))


def matches(ours: Sequence[Value], theirs: Sequence[Value]) -> list[int | None]:
    """Of each of our values the place of theirs that means the same, None where none does.

    That one has the same unit, which is named, and where either side has several the same name too.
    """
    alone = len(ours) == len(theirs) == 1
    found: list[int | None] = []
    for own in ours:
        same = (p for p, one in enumerate(theirs) if own.unit and own.unit == one.unit)
        found.append(next((place for place in same if alone or theirs[place].name == own.name), None))
    return found


def all_match(ours: Sequence[Value], theirs: Sequence[Value]) -> bool:
    """Whether each of our values is among theirs."""
    return bool(ours) and None not in matches(ours, theirs)


def in_words(values: Sequence[Value]) -> str:
    """What they are in: "degrees" of one, "x (pixels), y (pixels), angle (degrees)" of several."""
    return values[0].unit if len(values) == 1 else ", ".join(map(str, values))


def said(numbers: Sequence[float], values: Sequence[Value], digits: int = 4) -> str:
    """A row's values in words: "12.3 degrees", "x 1.5 pixels, angle 12.3 degrees"."""
    return by_name(
        [f"{number:.{digits}g} {own.unit}".rstrip() for number, own in zip(numbers, values, strict=True)], values
    )


def by_name(said: Sequence[str], values: Sequence[Value]) -> str:
    """What is said of each, behind its name where there are several: "12", "x 1.5, angle 12"."""
    return said[0] if len(said) == 1 else ", ".join(f"{own.name} {one}" for own, one in zip(values, said, strict=True))


def counted(names: Sequence[str]) -> str:
    """ "the value x", "the 3 values x, y, angle"."""
    return f"the value {names[0]}" if len(names) == 1 else f"the {len(names)} values {', '.join(names)}"


def read_values(fields: Iterable[dict[str, Any]]) -> tuple[Value, ...]:
    """Values as a card has them in JSON."""
    return tuple(Value(**own) for own in fields)
