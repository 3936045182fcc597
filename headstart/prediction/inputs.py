"""What is predicted: one image, a folder of images, or a table whose column `path` names them. Read piece by piece."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import cast

import pandas as pd
import pyarrow
import pyarrow.parquet

from headstart.datasets.folder import is_image, is_text, is_visible, printable
from headstart.errors import DataError
from headstart.modalities.image import EXTENSIONS, Decoded, decode

COLUMN = "path"
TABLES = (".csv", ".parquet")
ROWS_READ = 10_000  # rows of a table that are in memory at a time


@dataclass(frozen=True)
class Inputs:
    """The images to predict.

    root: where the files lie. count: how many there are. names: gives their names, in order, from the start; a name
    is a path relative to `root` or an absolute one, "" where a table's row has none.
    """

    root: Path
    count: int
    names: Callable[[], Iterator[str]]


@dataclass(frozen=True)
class Files:
    """Work for one decoding worker; plain data, so that it can be sent to a process."""

    root: str
    names: tuple[str, ...]
    size: int
    channels: int


def decode_files(files: Files) -> list[Decoded]:
    """Decodes as ingest does; a file that is not there is a row with a reason. Runs in a worker process."""
    return [_decode(files, name) for name in files.names]


def find_inputs(path: Path) -> Inputs:
    """An image file; a folder, of which every image is taken at any depth; or a .csv or .parquet table.

    Hidden files and folders are passed over. A table's paths are relative to the folder that the table lies in.

    Raises:
        DataError: nothing is there, it is of another kind, holds no images, or is no table with a column `path`.
    """
    if path.is_dir():
        count = sum(1 for _ in _walk(path))
        if not count:
            raise DataError(f"{path} holds no images; looked for {', '.join(sorted(EXTENSIONS))}, at any depth")
        return Inputs(path, count, lambda: _walk(path))
    if not path.is_file():
        raise DataError(f"{path} is not there; give an image, a folder of images, or a table with a column {COLUMN!r}")
    suffix = path.suffix.lower()
    if suffix in TABLES:
        read = _csv if suffix == ".csv" else _parquet
        count = sum(1 for _ in read(path))
        if not count:
            raise DataError(f"{path} has no rows")
        return Inputs(path.parent, count, lambda: read(path))
    if suffix in EXTENSIONS:
        return Inputs(Path(), 1, lambda: iter([str(path)]))
    raise DataError(
        f"{path} is of a kind that cannot be predicted; give an image ({', '.join(sorted(EXTENSIONS))}), a folder of "
        f"images, or a table ({', '.join(TABLES)}) with a column {COLUMN!r}"
    )


def _walk(directory: Path) -> Iterator[str]:
    for root, folders, names in os.walk(directory, onerror=_refuse):
        folders[:] = sorted(filter(is_visible, folders))
        for name in sorted(names):
            if is_visible(name) and is_image(name):
                place = Path(root, name).relative_to(directory).as_posix()
                yield place if is_text(place) else printable(place)  # which is not there, and is said to be


def _csv(path: Path) -> Iterator[str]:
    try:
        columns = list(pd.read_csv(path, nrows=0, encoding="utf-8-sig").columns)
        _check_column(path, columns)
        reading = pd.read_csv(
            path, usecols=[COLUMN], dtype=str, keep_default_na=False, chunksize=ROWS_READ, encoding="utf-8-sig"
        )
        with reading as chunks:
            for chunk in chunks:
                yield from chunk[COLUMN].fillna("")
    except (ValueError, OSError) as error:  # pandas' ParserError and EmptyDataError, UnicodeDecodeError
        raise DataError(f"{path} cannot be read as CSV in UTF-8: {error}") from None


def _parquet(path: Path) -> Iterator[str]:
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            _check_column(path, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=ROWS_READ, columns=[COLUMN]):
                for value in batch.column(0).to_pylist():
                    yield "" if value is None else str(value)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from None


def _check_column(path: Path, columns: list[str]) -> None:
    if COLUMN not in columns:
        raise DataError(
            f"{path} has no column {COLUMN!r}, only {', '.join(map(repr, columns))}; name the column that holds each "
            f"image's path {COLUMN!r}"
        )


def _decode(files: Files, name: str) -> Decoded:
    if not name:
        return Decoded(None, "", "NO_PATH: the row names no file")
    path = Path(files.root, name)
    if not path.is_file():
        return Decoded(None, "", "NOT_THERE: no such file")
    return decode(path, size=files.size, channels=files.channels)


def _refuse(error: OSError) -> None:
    raise DataError(f"cannot read {error.filename}: {error.strerror}; make the folder readable")


def decode_bytes(content: bytes, size: int, channels: int) -> Decoded:
    """Decodes a file's bytes as ingest does; runs in a worker process."""
    # Pillow opens either. The function's own file is left as it is, for finished cells are known by its digest.
    return decode(cast(Path, BytesIO(content)), size=size, channels=channels)
