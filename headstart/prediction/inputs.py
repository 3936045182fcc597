"""What is predicted: one file, a folder of files, or a table that names or holds the rows. Read piece by piece."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import pyarrow.parquet

from headstart.datasets.folder import is_row, is_text, is_visible, printable
from headstart.errors import DataError
from headstart.modalities.decoded import Decoded
from headstart.modalities.table import MODALITIES, ModalityEntry

COLUMN = "path"
TABLES = (".csv", ".parquet")
ROWS_READ = 10_000  # rows of a table that are in memory at a time


@dataclass(frozen=True)
class Inputs:
    """The rows to predict.

    root: where the files lie. count: how many rows there are. names: gives their names, in order, from the start; a
    name is a path relative to `root` or an absolute one, "" where a table's row has none. contents: of a table that
    holds the rows themselves, these, in the same order.
    """

    root: Path
    count: int
    names: Callable[[], Iterator[str]]
    contents: Callable[[], Iterator[str]] | None = None


@dataclass(frozen=True)
class Files:
    """Work for one decoding worker; plain data, so that it can be sent to a process.

    how: as the modality decodes them. contents: the rows themselves, where they are no files.
    """

    root: str
    names: tuple[str, ...]
    modality: str
    how: Any
    contents: tuple[str, ...] = ()


def decode_files(files: Files) -> list[Decoded]:
    """Decodes as ingest does; a file that is not there is a row with a reason. Runs in a worker process."""
    if files.contents:
        modality = MODALITIES.get(files.modality).load()
        return [modality.decode(content, files.how) for content in files.contents]
    return [_decode(files, name) for name in files.names]


def find_inputs(path: Path, kind: ModalityEntry) -> Inputs:
    """One file; a folder, of which every file of the kind is taken at any depth; or a .csv or .parquet table.

    Hidden files and folders are passed over. A table's paths are relative to the folder that the table lies in; where
    it has no column `path`, it may hold the rows themselves.

    Raises:
        DataError: nothing is there, it is of another kind, holds none of the kind, or is a table without the column.
    """
    if path.is_dir():
        count = sum(1 for _ in _walk(path, kind))
        if not count:
            raise DataError(f"{path} holds no {kind.many}; looked for {kind.endings}, at any depth")
        return Inputs(path, count, lambda: _walk(path, kind))
    if not path.is_file():
        raise DataError(
            f"{path} is not there; give {kind.a}, a folder of {kind.many}, or a table with {_columns(kind)}"
        )
    suffix = path.suffix.lower()
    if suffix in TABLES:
        read = _csv if suffix == ".csv" else _parquet
        column = _column_of(path, kind)
        count = sum(1 for _ in read(path, column))
        if not count:
            raise DataError(f"{path} has no rows")

        def cells() -> Iterator[str]:
            return (cell for _, cell in read(path, column))

        if column == COLUMN:
            return Inputs(path.parent, count, cells)
        return Inputs(path.parent, count, lambda: (f"{path.name} row {row}" for row, _ in read(path, column)), cells)
    if suffix in kind.extensions:
        return Inputs(Path(), 1, lambda: iter([str(path)]))
    raise DataError(
        f"{path} is of a kind that cannot be predicted; give {kind.a} ({kind.endings}), a folder of {kind.many}, or a "
        f"table ({', '.join(TABLES)}) with {_columns(kind)}"
    )


def _walk(directory: Path, kind: ModalityEntry) -> Iterator[str]:
    for root, folders, names in os.walk(directory, onerror=_refuse):
        folders[:] = sorted(filter(is_visible, folders))
        for name in sorted(names):
            if is_visible(name) and is_row(name, kind):
                place = Path(root, name).relative_to(directory).as_posix()
                yield place if is_text(place) else printable(place)  # which is not there, and is said to be


def _csv(path: Path, column: str) -> Iterator[tuple[int, str]]:
    """Each row's number, as ingest has it (the header is row 1, blank lines count and are none), and its cell."""
    try:
        reading = pd.read_csv(
            path, dtype=str, keep_default_na=False, skip_blank_lines=False, chunksize=ROWS_READ, encoding="utf-8-sig"
        )
        with reading as chunks:
            for chunk in chunks:
                written = chunk[(chunk.fillna("").map(str.strip) != "").any(axis=1)]
                yield from zip(written.index + 2, written[column].fillna(""), strict=True)
    except (ValueError, OSError) as error:  # pandas' ParserError and EmptyDataError, UnicodeDecodeError
        raise DataError(f"{path} cannot be read as CSV in UTF-8: {error}") from None


def _parquet(path: Path, column: str) -> Iterator[tuple[int, str]]:
    """The same; the first row is row 1."""
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            batches = file.iter_batches(batch_size=ROWS_READ, columns=[column])
            cells = (cell for batch in batches for cell in batch.column(0).to_pylist())
            for row, cell in enumerate(cells, start=1):
                yield row, "" if cell is None else str(cell)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from None


def _column_of(path: Path, kind: ModalityEntry) -> str:
    """The column that names the rows, or the one that holds them.

    Raises:
        DataError: it has neither, or cannot be read.
    """
    try:
        if path.suffix.lower() == ".csv":
            columns = [str(name) for name in pd.read_csv(path, nrows=0, encoding="utf-8-sig").columns]
        else:
            columns = list(pyarrow.parquet.read_schema(path).names)
    except (ValueError, OSError, pyarrow.ArrowException) as error:
        what = "CSV in UTF-8" if path.suffix.lower() == ".csv" else "Parquet"
        raise DataError(f"{path} cannot be read as {what}: {error}") from None
    for column in filter(None, (kind.content, COLUMN)):
        if column in columns:
            return column
    raise DataError(
        f"{path} has no column {COLUMN!r}, only {', '.join(map(repr, columns))}; name the column that holds each "
        f"{kind.one}'s path {COLUMN!r}"
        + (f", or the one of the {kind.many} themselves {kind.content!r}" if kind.content else "")
    )


def _columns(kind: ModalityEntry) -> str:
    """The columns that a table may have, in words."""
    return f"a column {COLUMN!r}" + (f" or {kind.content!r}" if kind.content else "")


def _decode(files: Files, name: str) -> Decoded:
    if not name:
        return Decoded(None, "", "NO_PATH: the row names no file")
    path = Path(files.root, name)
    if not path.is_file():
        return Decoded(None, "", "NOT_THERE: no such file")
    return MODALITIES.get(files.modality).load().decode(path, files.how)


def _refuse(error: OSError) -> None:
    raise DataError(f"cannot read {error.filename}: {error.strerror}; make the folder readable")


def decode_bytes(content: bytes, modality: str, how: Any) -> Decoded:
    """Decodes a file's bytes as ingest does; runs in a worker process."""
    return MODALITIES.get(modality).load().decode(BytesIO(content), how)
