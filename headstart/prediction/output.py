"""Where predictions go: a CSV or Parquet file that appears whole or not at all, or CSV on standard output."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Protocol

import pandas as pd
import pyarrow
import pyarrow.parquet

from headstart.errors import DataError, UserError
from headstart.storage.spreadsheet import without_formulas

SUFFIXES = (".csv", ".parquet")
ROW_GROUP = 10_000  # rows that are gathered before they are written as one row group of Parquet


class Sink(Protocol):
    """Takes a table bit by bit; all bits have the same columns."""

    def write(self, table: pd.DataFrame) -> None: ...


class Printed:
    """CSV on standard output."""

    def __init__(self) -> None:
        self._begun = False

    def write(self, table: pd.DataFrame) -> None:
        without_formulas(table).to_csv(sys.stdout, index=False, header=not self._begun)
        self._begun = True


class Written:
    """A file that is made beside its final place and moved there by `commit`; without one, nothing is left."""

    def __init__(self, path: Path):
        self._path = path
        self._draft = path.with_name(f".{path.name}.tmp-{os.getpid()}-{os.urandom(4).hex()}")
        self._tables: list[pd.DataFrame] = []
        self._waiting = 0
        self._begun = False
        self._parquet: pyarrow.parquet.ParquetWriter | None = None

    def __enter__(self) -> "Written":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._parquet is not None:
            self._parquet.close()
        self._draft.unlink(missing_ok=True)

    def write(self, table: pd.DataFrame) -> None:
        self._tables.append(table)
        self._waiting += len(table)
        if self._waiting >= ROW_GROUP:
            self._flush()

    def commit(self) -> None:
        """Moves what was written to its place; nothing is there where nothing was written."""
        self._flush()
        if self._parquet is not None:
            self._parquet.close()
            self._parquet = None
        if not self._begun:
            self._path.unlink(missing_ok=True)  # of an earlier prediction
            return
        with self._draft.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(self._draft, self._path)

    def _flush(self) -> None:
        if not self._tables:
            return
        table = pd.concat(self._tables, ignore_index=True)
        self._tables, self._waiting = [], 0
        if self._path.suffix == ".parquet":
            rows = pyarrow.Table.from_pandas(table, preserve_index=False)
            if self._parquet is None:
                self._parquet = pyarrow.parquet.ParquetWriter(self._draft, rows.schema)
            self._parquet.write_table(rows)
        else:
            without_formulas(table).to_csv(self._draft, mode="a", index=False, header=not self._begun)
        self._begun = True


def rejected_path(out: Path) -> Path:
    """Where the inputs that cannot be read are listed: predictions.csv -> predictions.rejected.csv."""
    return out.with_name(f"{out.stem}.rejected.csv")


def check_output(out: Path, *, given: Path, force: bool) -> None:
    """Refuses an output before any work is done.

    given: what is predicted, which must not be overwritten.

    Raises:
        UserError: another suffix, a file that is there already (without `force`), a folder, or the input itself.
    """
    if out.suffix not in SUFFIXES:
        raise UserError(f"{out}: predictions are written as {' or '.join(SUFFIXES)}; end the name with one of them")
    for path in (out, rejected_path(out)):
        if path.is_dir():
            raise UserError(f"{path} is a folder; give the name of a file")
        if path.exists() and path.resolve() == given.resolve():
            raise UserError(f"{path} is what is to be predicted; write to another file")
        if path.exists() and not force:
            raise UserError(f"{path} is there already; --force overwrites it, or write to another file")


@contextmanager
def sinks(out: Path | None) -> Iterator[tuple[Sink, Sink | None]]:
    """Sinks for predictions and for rejected inputs; files take their places when the block ends well.

    None, None on standard output: the predictions are printed, and what is rejected has no file.

    Raises:
        DataError: the files cannot be written.
    """
    if out is None:
        yield Printed(), None
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            predictions = stack.enter_context(Written(out))
            rejected = stack.enter_context(Written(rejected_path(out)))
            yield predictions, rejected
            rejected.commit()
            predictions.commit()
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror or error}") from error
