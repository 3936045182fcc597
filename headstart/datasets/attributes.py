"""Reading attributes: cells of a table as numbers, by what their column holds: yes or no, numbers, or tags."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from headstart.datasets.pack import Attribute
from headstart.errors import DataError
from headstart.registry import nearest

YES_NO = {"yes": 1.0, "no": 0.0, "true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}  # in small letters
MOST_TAGS = 100  # categories of a column; one that has more tells rows apart, and is no tag
SHARE = 0.9  # of a column's cells that make it one of yes and no, or of numbers; the others are then mistakes


def describe_columns(path: Path, frame: pd.DataFrame, names: Sequence[str]) -> tuple[Attribute, ...]:
    """What each of these columns of a table holds; the cells are text, "" where they are empty.

    Raises:
        DataError: a column is missing, empty, the same in all rows, or has more tags than MOST_TAGS.
    """
    return tuple(_describe(path, frame, name) for name in names)


def read_cell(attribute: Attribute, text: str) -> float:
    """A cell as a number: 1 or 0, the number itself, or the code of its tag; nan where it is empty.

    Raises:
        ValueError: it is not what its column holds; the message says what is allowed.
    """
    if not text:
        return math.nan
    if attribute.kind == "tag":
        return float(attribute.categories.index(text))
    return yes_or_no(text) if attribute.kind == "yes/no" else number(text)


def yes_or_no(text: str) -> float:
    """1 or 0.

    Raises:
        ValueError: it is neither; the message says what is allowed.
    """
    if text.lower() not in YES_NO:
        raise ValueError(f"{text!r}, which is none of {', '.join(YES_NO)}")
    return YES_NO[text.lower()]


def number(text: str) -> float:
    """A finite number.

    Raises:
        ValueError: it is none.
    """
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(f"{text!r}, which is no finite number")
    return found


def _describe(path: Path, frame: pd.DataFrame, name: str) -> Attribute:
    if name not in frame:
        columns = [str(column) for column in frame]
        raise DataError(
            f"{path} has no column {name!r} (its columns: {', '.join(columns)}); data.attribute_columns names it; "
            f"{nearest(name, columns)}"
        )
    cells = Counter(text for text in frame[name] if text)
    if len({text.lower() for text in cells}) < 2:
        held = f"the same, {next(iter(cells))!r}, in all rows" if cells else "empty"
        raise DataError(f"{path}: column {name!r} is {held}, and tells nothing; leave it out of data.attribute_columns")
    for share in (1.0, SHARE):  # a count of mostly 0 and 1 is no yes and no with mistakes
        if _share(cells, yes_or_no) >= share:
            return Attribute(name, "yes/no")
        if _share(cells, number) >= share:
            return Attribute(name, "number")
    if len(cells) > MOST_TAGS:
        raise DataError(
            f"{path}: column {name!r} has {len(cells)} different texts, such as {next(iter(cells))!r}; tags are of at "
            f"most {MOST_TAGS} categories: leave it out of data.attribute_columns, or write numbers in it"
        )
    return Attribute(name, "tag", tuple(sorted(cells)))


def _share(cells: "Counter[str]", read: Callable[[str], float]) -> float:
    """Of the cells, those that can be read like that."""
    return sum(count for text, count in cells.items() if _can(read, text)) / cells.total()


def _can(read: Callable[[str], float], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True
