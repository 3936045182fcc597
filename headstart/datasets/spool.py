"""Decoded pixels on their way into a pack: a file in between, so that memory stays flat however many there are."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


class Spool:
    """Pixels of one shape, appended one by one and taken in any order."""

    def __init__(self, folder: Path, shape: tuple[int, int, int]):
        """shape: (channels, height, width). The file has no name (on Linux and macOS) and goes with the process."""
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (`spooling` closes it)
        self._bytes = int(np.prod(shape))
        self._shape = shape
        self._rows = 0

    def append(self, pixels: Pixels) -> None:
        self._file.write(np.ascontiguousarray(pixels).data)
        self._rows += 1

    def take(self, rows: NDArray[np.intp]) -> Pixels:
        """(rows, channels, height, width) of the rows asked for, in that order."""
        found = np.empty((len(rows), *self._shape), np.uint8)
        self._file.flush()
        for place in np.argsort(rows):  # in the order of the disk
            if os.preadv(self._file.fileno(), [found[place].data], int(rows[place]) * self._bytes) != self._bytes:
                raise OSError(f"the decoded pixels of row {rows[place]} could not be read back whole")
        return found

    def close(self) -> None:
        self._file.close()


class Ordered:
    """A spool seen in another order; slices give (rows, channels, height, width), as an array's would."""

    def __init__(self, spool: Spool, order: NDArray[np.intp]):
        self._spool = spool
        self._order = order
        self.shape = (len(order), *spool._shape)

    def __getitem__(self, part: slice) -> Pixels:
        return self._spool.take(self._order[part])


@contextmanager
def spooling(folder: Path, shape: tuple[int, int, int]) -> Iterator[Spool]:
    """A spool in `folder`, which should be on the disk that the pack goes to."""
    spool = Spool(folder, shape)
    try:
        yield spool
    finally:
        spool.close()
