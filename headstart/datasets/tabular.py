"""Reader of a table, CSV or Parquet: rows with their file's path relative to the table, or whole, and what is known.

Rows are numbered as an editor shows them: the header of a CSV file is row 1. Parquet has no header: its first row is 1.
"""

import csv
import math
import os
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet

from headstart.datasets.attributes import describe_columns, read_cell
from headstart.datasets.folder import DVC_OBJECT
from headstart.datasets.listing import SPLITS, Kind, Listing
from headstart.datasets.pack import TEST, UNLABELLED, Attribute
from headstart.datasets.settings import SIGNATURES, DataSettings
from headstart.datasets.value_names import check_names
from headstart.errors import DataError
from headstart.registry import nearest

SUFFIXES = (".csv", ".parquet")
SHOWN = 200  # characters of a path in a reason
LONGEST = 1_000_000  # characters of a cell or row
LARGEST_PARQUET = 2_000_000_000  # bytes, unpacked
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+[^/]")  # as `clean` leaves it
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

    anywhere: whether files may lie outside of the table's folder.

    Raises:
        DataError: it cannot be read, a column is missing, there are labels and values at once, the values' names clash
            (`check_names`), or no row is left.
    """
    frame = read_table(path)
    _stays.cache_clear()
    kind = _kind(path, frame, settings)
    attributes = describe_columns(path, frame, settings.attribute_columns) if kind == "attribute" else ()
    names = settings.value_columns if kind == "value" else ()
    check_names(names, str(path))
    columns = {
        name: frame[column] if column in frame else pd.Series("", index=frame.index)
        for name, column in (
            ("path", settings.path_column),
            ("content", settings.content_column if settings.row_kind.content else ""),
            ("target", settings.label_column if kind == "class" else ""),
            ("split", settings.split_column),
            ("group", settings.group_column),
        )
    }
    if several := [*names, *(attribute.name for attribute in attributes)]:  # a row that has one of them is labelled
        columns["target"] = frame[several].agg("".join, axis=1)
    holds_rows = bool(settings.row_kind.content) and settings.content_column in frame
    cells = list(zip(*(frame[name] for name in names), strict=True)) or [()] * len(frame)
    rows: list[tuple[str, str | None, tuple[float, ...] | None, str | None, str | None]] = []
    codes: list[tuple[float, ...]] = []
    contents: list[str | None] = []
    rejected: list[tuple[str, str]] = []
    seen: set[str] = set()
    for number, own, named, content, target, split, group in zip(frame.index, cells, *columns.values(), strict=True):
        place = f"{path.name} row {number}" if content else clean(named)
        reason = "" if content else _no_file(path.parent, place, seen=seen, anywhere=anywhere)
        if not place and holds_rows:
            no_file = ", and the row names no file" if settings.path_column in frame else ""
            reason = f"EMPTY: column {settings.content_column} has nothing in it{no_file}"
        reason = reason or _bad_split(split) or (_bad_value(own, names) if target else None)
        reason = reason or _untested(target, split)
        reason = reason or _bad_attribute(frame.loc[number], attributes)
        if reason:
            rejected.append((f"{path.name} row {number}", reason))
            continue
        seen.add(place)
        contents.append(content or None)
        label = target if kind == "class" and target else None
        value = tuple(map(float, own)) if names and target else None
        rows.append((place, label, value, SPLITS.get(split.lower()) if target else UNLABELLED, group or None))
        codes += [tuple(read_cell(one, str(frame.at[number, one.name])) for one in attributes)] if attributes else []
    if not rows:
        first = f", such as {rejected[0][0]}: {rejected[0][1]}" if rejected else ""
        raise DataError(f"{path} has no row that can be used{first}")
    paths, labels, values, splits, groups = zip(*rows, strict=True)
    _refuse_twins(path, {label for label in labels if label})
    whole = tuple(contents) if any(contents) else ()
    return Listing(
        paths, labels, values, splits, groups, kind, tuple(rejected), attributes, tuple(codes), whole, tuple(names)
    )


def _refuse_twins(path: Path, labels: Iterable[str]) -> None:
    """Classes whose names look alike and are written by other characters of Unicode.

    Raises:
        DataError: there are two.
    """
    named: dict[str, str] = {}
    for label in sorted(labels):
        other = named.setdefault(unicodedata.normalize("NFC", label), label)
        if other != label:
            raise DataError(
                f"{path} has the classes {other!r} and {label!r} ({ascii(other)}, {ascii(label)}), which are one name "
                "in two spellings of Unicode; write both alike"
            )


def read_table(path: Path) -> pd.DataFrame:
    """A table as text, "" where a cell is empty; the index is the number of each row.

    Raises:
        DataError: it is no table of that kind, two columns have one name, or a row is longer than any could be.
    """
    try:
        frame = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({_place(path, error)}); save it as UTF-8") from None
    except (
        OSError,
        ValueError,
        csv.Error,
        pd.errors.ParserWarning,
    ) as error:  # pandas' ParserError and pyarrow's errors are ValueErrors
        raise DataError(f"{path} cannot be read as a table: {_cause(error)}") from None
    long = frame.map(len).max(axis=1) > LONGEST
    if long.any():
        raise DataError(
            f"{path} row {long.idxmax()} is longer than {LONGEST:,} characters; is a quote left open there?"
        )
    return frame[(frame != "").any(axis=1)]


def _place(path: Path, error: UnicodeDecodeError) -> str:
    """Where a file is no UTF-8: the error's own place counts from the piece that was read."""
    with path.open("rb") as file:
        for row, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as own:
                return f"line {row}: {own.reason} at its byte {own.start}"
    return f"{error.reason} at byte {error.start}"


def _read_csv(path: Path) -> pd.DataFrame:
    _refuse_long_lines(path)
    separator = _separator(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        frame = pd.read_csv(
            path,
            sep=separator,
            dtype=str,
            keep_default_na=False,  # a class may be called NA or None
            index_col=False,
            skip_blank_lines=False,  # or the numbers of the rows would not be those that an editor shows
            encoding="utf-8-sig",
        ).fillna("")
    _refuse_two_columns(path, separator)
    frame.columns = frame.columns.str.strip()
    frame.index = pd.RangeIndex(2, 2 + len(frame))
    return frame.map(str.strip)


def _read_parquet(path: Path) -> pd.DataFrame:
    with pyarrow.parquet.ParquetFile(path) as file:
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        size = sum(group.total_byte_size for group in groups)
    if size > LARGEST_PARQUET:
        raise ValueError(f"it unpacks to {size / 1e6:,.0f} MB, at most {LARGEST_PARQUET / 1e6:,.0f} are read")
    frame = pd.read_parquet(path)
    return pd.DataFrame(
        {str(name): [_text(cell) for cell in frame[name]] for name in frame},
        dtype=object,
        index=pd.RangeIndex(1, 1 + len(frame)),
    )


def _refuse_long_lines(path: Path) -> None:
    """Before a line is in memory as a whole.

    Raises:
        ValueError: the file is empty, or a line is longer than LONGEST bytes.
    """
    with path.open("rb") as file:
        if not file.peek(1):
            raise ValueError("it is empty")
        for number in count(1):
            line = file.readline(LONGEST + 1)
            if not line:
                return
            if len(line) > LONGEST:
                raise ValueError(f"row {number} is longer than {LONGEST:,} bytes")


def _refuse_two_columns(path: Path, separator: str) -> None:
    """pandas would call the second one another name.

    Raises:
        ValueError: two columns have one name.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        names = [name.strip() for name in next(csv.reader(file, delimiter=separator))]
    twice = sorted(name for name, times in Counter(names).items() if name and times > 1)
    if twice:
        raise ValueError(f"it has two columns {twice[0]!r}; rename or remove one of them")


def _cause(error: Exception) -> str:
    """What pandas says, with the row as an editor numbers it and what to look for."""
    text = str(error).strip().splitlines()[0]
    if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", text):
        return (
            f"row {found[2]} has {found[3]} cells under {found[1]} columns; put a cell that holds a separator in quotes"
        )
    if found := re.search(r"EOF inside string starting at row (\d+)", text):
        return f"row {int(found[1]) + 1} opens a quote that never ends; close it"
    if isinstance(error, pd.errors.ParserWarning):
        return "row 2 has more cells than there are columns; give each column a name"
    return text


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
    wanted = {"data.path_column": settings.path_column}
    wanted |= {"data.content_column": settings.content_column} if settings.row_kind.content else {}
    if not set(wanted.values()) & set(names):
        raise DataError(
            f"{path} has no column {' or '.join(map(repr, wanted.values()))} (its columns: {', '.join(names)}); "
            f"the setting {' or '.join(wanted)} names it, and data.modality what rows are "
            f"({settings.row_kind.many} now); another table must not lie in a dataset's folder; "
            f"{nearest(settings.path_column, names)}"
        )
    has_label, there = settings.label_column in names, [name for name in settings.value_columns if name in names]
    if has_label and there:
        raise DataError(
            f"{path} has labels (column {settings.label_column!r}) and values (column {_either(there, 'and')}); "
            'choose: --data.value_columns "" reads the classes, --data.label_column "" the values'
        )
    missing = [name for name in settings.value_columns if name not in names]
    if there and missing:
        raise DataError(
            f"{path} has no column {_either(missing)}, which data.value_columns names beside {_either(there, 'and')} "
            f"(its columns: {', '.join(names)}); {nearest(missing[0], names)}"
        )
    if not has_label and not there and not settings.attribute_columns:
        raise DataError(
            f"{path} has neither a column {settings.label_column!r} of classes nor "
            f"{_either(settings.value_columns) or repr('')} of "
            f"numbers (its columns: {', '.join(names)}); name it: --data.label_column or --data.value_columns; of a "
            "source it may be columns of attributes: --data.attribute_columns A,B"
        )
    return "class" if has_label else "value" if there else "attribute"


def _either(names: Iterable[str], word: str = "or") -> str:
    """Such as "'x', 'y' or 'angle'"."""
    *first, last = [repr(name) for name in names] or [""]
    return f"{', '.join(first)} {word} {last}" if first else last


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


def _leads_out(folder: str, inner: str, name: str) -> bool:
    """Whether a file of the folder is a link to what lies elsewhere; those that DVC makes, into its cache, are not."""
    place = os.path.join(folder, inner, name)
    if os.path.islink(place):
        return not DVC_OBJECT.search(os.readlink(place))
    return not _stays(folder, inner)


@lru_cache(maxsize=1024)
def _stays(folder: str, inner: str) -> bool:
    real = os.path.realpath(folder)
    return os.path.commonpath([real, os.path.realpath(os.path.join(folder, inner))]) == real


def _no_file(folder: Path, place: str, *, seen: set[str], anywhere: bool) -> str | None:
    """Why a row's file cannot be used: a code and the cause; None where it can."""
    if not place:
        return "NO_PATH: the row names no file"
    if ADDRESS.match(place):
        return f"ADDRESS: {place[:SHOWN]} is an address and not a file; download it, and name the file"
    if not anywhere and not is_inside(place):
        return f"OUTSIDE: {place[:SHOWN]} lies outside of the dataset's folder; register the table: --target.data TABLE"
    if place in seen:
        return f"REPEATED: file {place} has a row already"
    if not _is_file(folder / place):
        return f"MISSING: file {place[:SHOWN]} is missing"
    if not anywhere and _leads_out(str(folder), os.path.dirname(place), os.path.basename(place)):
        return f"LINK: {place[:SHOWN]} is a link out of the dataset's folder; put the file itself there"
    return None


def _bad_split(split: str) -> str | None:
    """Why a row's split cannot be used: a code and the cause; None where it can."""
    return f"BAD_SPLIT: {split!r} is none of train, val, test" if split and split.lower() not in SPLITS else None


def _bad_value(cells: Sequence[str], names: Sequence[str]) -> str | None:
    """The same of the values of a row that has one of them at least; of several the column is named."""
    for name, cell in zip(names, cells, strict=True):
        if not _is_number(cell):
            hint = "; for a decimal comma write a point" if "," in cell else ""
            if not cell:
                return f"BAD_VALUE: {name} is empty; give each of {', '.join(names)}, or none of a row without a label"
            said = f"{name} is {cell[:SHOWN]!r}, which" if len(names) > 1 else repr(cell[:SHOWN])
            return f"BAD_VALUE: {said} is not a finite number{hint}"
    return None


def _untested(target: str, split: str) -> str | None:
    """Why a test row cannot be used that has no label."""
    return "NO_LABEL: a test row needs its label" if not target and SPLITS.get(split.lower()) == TEST else None


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
