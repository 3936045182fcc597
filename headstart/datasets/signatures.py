"""What is known of classes in place of rows with their labels: signatures, a row of numbers each."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headstart.datasets.attributes import YES_NO, number, yes_or_no
from headstart.datasets.settings import SIGNATURES
from headstart.datasets.tabular import read_table
from headstart.errors import DataError

CLASS = "class"  # the column that names them


@dataclass(frozen=True)
class Signatures:
    """columns: their names. table: (classes, columns), in the order of the classes."""

    columns: tuple[str, ...]
    table: NDArray[np.float64]


def read_signatures(dataset: Path, classes: tuple[str, ...]) -> Signatures | None:
    """What a dataset's table of classes says of these; None where there is no such table, or no class.

    dataset: its folder, or its table, beside which it lies. Rows of classes that the dataset has not are passed over: a
    published table may be of more.

    Raises:
        DataError: a class has no row or two, or a cell is neither yes, no nor a number; the row is named.
    """
    path = dataset.with_name(SIGNATURES) if dataset.is_file() else dataset / SIGNATURES
    if not classes or not path.is_file():
        return None
    frame = read_table(path)
    columns = tuple(str(name) for name in frame.columns if name != CLASS)
    if CLASS not in frame or not columns:
        raise DataError(
            f"{path} has the columns {', '.join(map(str, frame.columns))}; it needs {CLASS!r}, the name of a class, "
            "and one column or more of what classes are like"
        )
    rows = _rows(path, frame, classes)
    found = [[_cell(path, frame, rows[name], column) for column in columns] for name in classes]
    return Signatures(columns, np.array(found, dtype=np.float64))


def _rows(path: Path, frame: pd.DataFrame, classes: tuple[str, ...]) -> dict[str, int]:
    """The row of each class, as an editor numbers it."""
    rows: dict[str, int] = {}
    for row, name in frame[CLASS].items():
        if name in rows:
            raise DataError(f"{path}: class {name!r} is in row {rows[name]} and in row {row}; leave one of them")
        rows[str(name)] = int(str(row))
    missing = [name for name in classes if name not in rows]
    if missing:
        raise DataError(
            f"{path} has no row for {len(missing)} of {len(classes)} classes, such as {missing[0]!r}; give each class "
            f"one, or remove the table (its classes: {', '.join(sorted(rows))})"
        )
    return rows


def _cell(path: Path, frame: pd.DataFrame, row: int, column: str) -> float:
    text = str(frame.at[row, column])
    try:
        return yes_or_no(text) if text.lower() in YES_NO else number(text)
    except ValueError:
        raise DataError(
            f"{path} row {row}: {column} is {text!r}; write yes or no (true, false, 1, 0) or a number, and leave out a "
            "column that is not known of every class"
        ) from None
