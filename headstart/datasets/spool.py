"""Decoded rows on their way into a pack: a file in between, so that memory stays flat however many there are."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]


class Spool:
    """Rows of one shape, appended one by one and taken in any order."""

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: str):
        """shape, dtype: of a row. The file has no name (on Linux and macOS) and goes with the process."""
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (`spooling` closes it)
        self._dtype = np.dtype(dtype)
        self._bytes = int(np.prod(shape)) * self._dtype.itemsize
        self._shape = shape
        self._rows = 0

    def append(self, values: Values) -> None:
        self._file.write(np.ascontiguousarray(values, self._dtype).data)
        self._rows += 1

    def take(self, rows: NDArray[np.intp]) -> Values:
        """(rows, ...) of the rows asked for, in that order."""
        found = np.empty((len(rows), *self._shape), self._dtype)
        self._file.flush()
        for place in np.argsort(rows):  # in the order of the disk
            if (
                os.preadv(
                    self._file.fileno(), [memoryview(found[place].data).cast("B")], int(rows[place]) * self._bytes
                )
                != self._bytes
            ):
                raise OSError(f"what row {rows[place]} was decoded to could not be read back whole")
        return found

    def close(self) -> None:
        self._file.close()


class Ordered:
    """A spool seen in another order; slices give (rows, ...), as an array's would."""

    def __init__(self, spool: Spool, order: NDArray[np.intp]):
        self._spool = spool
        self._order = order
        self.shape = (len(order), *spool._shape)
        self.dtype = spool._dtype

    def __getitem__(self, part: slice) -> Values:
        return self._spool.take(self._order[part])


@contextmanager
def spooling(folder: Path, shape: tuple[int, ...], dtype: str) -> Iterator[Spool]:
    """A spool in `folder`, which should be on the disk that the pack goes to."""
    spool = Spool(folder, shape, dtype)
    try:
        yield spool
    finally:
        spool.close()
