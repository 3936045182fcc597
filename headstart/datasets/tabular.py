"""Reader of a table, CSV or Parquet: one row an image, with its path relative to the table and what is known of it.

Rows are numbered as an editor shows them: the header of a CSV file is row 1. Parquet has no header: its first row is 1.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from headstart.datasets.attributes import describe_columns, read_cell
from headstart.datasets.listing import SPLITS, Kind, Listing
from headstart.datasets.pack import TEST, UNLABELLED, Attribute
from headstart.datasets.settings import SIGNATURES, DataSettings
from headstart.errors import DataError
from headstart.registry import nearest

SUFFIXES = (".csv", ".parquet")
SHOWN = 200  # characters of a path in a reason
SEPARATORS = (",", ";", "\t")


def is_table(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.name != SIGNATURES


def find_table(directory: Path, settings: DataSettings) -> Path | None:
    """The table at the top of a dataset's folder: the one that data.table names, or the only one.

    Raises:
        DataError: there are several, and data.table names none of them.
    """
    found = sorted(path for path in directory.iterdir() if is_table(path) and path.is_file())
    named = [path for path in found if path.name == settings.table]
    if len(found) > 1 and not named:
        raise DataError(
            f"{directory} holds {len(found)} tables: {', '.join(path.name for path in found)}; name the one to read: "
            f"--data.table {found[0].name}"
        )
    return (named or found)[0] if found else None


def list_table(path: Path, settings: DataSettings, *, anywhere: bool = False) -> Listing:
    """Lists the rows of a table; a row that cannot be used is set aside with its number and the reason.

    anywhere: whether images may lie outside of the table's folder.

    Raises:
        DataError: it cannot be read, a column is missing, there are labels and values at once, or no row is left.
    """
    frame = read_table(path)
    kind = _kind(path, frame, settings)
    attributes = describe_columns(path, frame, settings.attribute_columns) if kind == "attribute" else ()
    columns = {
        name: frame[column] if column in frame else pd.Series("", index=frame.index)
        for name, column in (
            ("path", settings.path_column),
            ("target", {"class": settings.label_column, "value": settings.value_column}.get(kind, "")),
            ("split", settings.split_column),
            ("group", settings.group_column),
        )
    }
    if attributes:  # a row that has one of them is labelled
        columns["target"] = frame[[attribute.name for attribute in attributes]].agg("".join, axis=1)
    rows: list[tuple[str, str | None, float | None, str | None, str | None]] = []
    codes: list[tuple[float, ...]] = []
    rejected: list[tuple[str, str]] = []
    seen: set[str] = set()
    for number, image, target, split, group in zip(frame.index, *columns.values(), strict=True):
        place = clean(image)
        reason = _unusable(path.parent, place, target, split, kind=kind, seen=seen, anywhere=anywhere)
        reason = reason or _bad_attribute(frame.loc[number], attributes)
        if reason:
            rejected.append((f"{path.name} row {number}", reason))
            continue
        seen.add(place)
        label = target if kind == "class" and target else None
        value = float(target) if kind == "value" and target else None
        rows.append((place, label, value, SPLITS.get(split.lower()) if target else UNLABELLED, group or None))
        codes += [tuple(read_cell(own, str(frame.at[number, own.name])) for own in attributes)] if attributes else []
    if not rows:
        first = f", such as {rejected[0][0]}: {rejected[0][1]}" if rejected else ""
        raise DataError(f"{path} has no row that can be used{first}")
    paths, labels, values, splits, groups = zip(*rows, strict=True)
    return Listing(paths, labels, values, splits, groups, kind, tuple(rejected), attributes, tuple(codes))


def read_table(path: Path) -> pd.DataFrame:
    """A table as text, "" where a cell is empty; the index is the number of each row.

    Raises:
        DataError: it is no table of that kind.
    """
    try:
        if path.suffix.lower() == ".parquet":
            frame = pd.read_parquet(path)
            frame = pd.DataFrame({str(name): [_text(cell) for cell in frame[name]] for name in frame}, dtype=object)
            first = 1
        else:
            frame = pd.read_csv(
                path,
                sep=_separator(path),
                dtype=str,
                keep_default_na=False,  # a class may be called NA or None
                index_col=False,
                skip_blank_lines=False,  # or the numbers of the rows would not be those that an editor shows
                encoding="utf-8-sig",
            ).fillna("")
            frame.columns = frame.columns.str.strip()
            frame = frame.map(str.strip)
            first = 2
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except (OSError, ValueError) as error:  # pandas' ParserError and pyarrow's errors are ValueErrors
        raise DataError(f"{path} cannot be read as a table: {str(error).strip().splitlines()[0]}") from None
    frame.index = pd.RangeIndex(first, first + len(frame))
    return frame[(frame != "").any(axis=1)]


def clean(path: str) -> str:
    """A path as it stands in a table, with forward slashes and without . parts."""
    return os.path.normpath(path.replace("\\", "/")) if path else ""


def is_inside(place: str) -> bool:
    """Whether a clean path stays in the folder that it is relative to."""
    return not os.path.isabs(place) and place.split("/")[0] != ".."


def _separator(path: Path) -> str:
    with path.open(encoding="utf-8-sig") as file:
        header = file.readline()
    return max(SEPARATORS, key=header.count)


def _text(cell: Any) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)) or cell is pd.NA or cell is pd.NaT:
        return ""
    if isinstance(cell, float) and cell.is_integer():  # whole numbers beside an empty cell
        return str(int(cell))
    return str(cell).strip()


def _kind(path: Path, frame: pd.DataFrame, settings: DataSettings) -> Kind:
    names = [str(name) for name in frame.columns]
    if settings.path_column not in names:
        raise DataError(
            f"{path} has no column {settings.path_column!r} (its columns: {', '.join(names)}); "
            "the setting data.path_column names it; a table that is none of images must not lie in a dataset's folder; "
            f"{nearest(settings.path_column, names)}"
        )
    has_label, has_value = settings.label_column in names, settings.value_column in names
    if has_label and has_value:
        raise DataError(
            f"{path} has labels (column {settings.label_column!r}) and values (column {settings.value_column!r}); "
            'choose: --data.value_column "" reads the classes, --data.label_column "" the values'
        )
    if not has_label and not has_value and not settings.attribute_columns:
        raise DataError(
            f"{path} has neither a column {settings.label_column!r} of classes nor {settings.value_column!r} of "
            f"numbers (its columns: {', '.join(names)}); name it: --data.label_column or --data.value_column; of a "
            "source it may be columns of attributes: --data.attribute_columns A,B"
        )
    return "class" if has_label else "value" if has_value else "attribute"


def _bad_attribute(row: "pd.Series[str]", attributes: Sequence[Attribute]) -> str | None:
    """Why a row's attributes cannot be read: a code, the column and what is allowed; None where they can."""
    for attribute in attributes:
        try:
            read_cell(attribute, row[attribute.name])
        except ValueError as error:
            return f"BAD_ATTRIBUTE: {attribute.name} is {error} (or empty, where it is not known)"
    return None


def _is_file(path: Path) -> bool:
    """Whether there is one; a name that no file can have is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _unusable(
    folder: Path, place: str, target: str, split: str, *, kind: Kind, seen: set[str], anywhere: bool
) -> str | None:
    """Why a row cannot be used: a code and the cause; None where it can."""
    if not place:
        return "NO_PATH: the row names no file"
    if not anywhere and not is_inside(place):
        return f"OUTSIDE: {place} lies outside of the dataset's folder; register the table: --target.data TABLE"
    if place in seen:
        return f"REPEATED: file {place} has a row already"
    if not _is_file(folder / place):
        return f"MISSING: file {place[:SHOWN]} is missing"
    if split and split.lower() not in SPLITS:
        return f"BAD_SPLIT: {split!r} is none of train, val, test"
    if kind == "value" and target and not _is_number(target):
        return f"BAD_VALUE: {target!r} is not a finite number"
    if not target and SPLITS.get(split.lower()) == TEST:
        return "NO_LABEL: a test row needs its label"
    return None


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
