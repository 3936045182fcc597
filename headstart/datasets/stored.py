"""A pack's arrays on disk, in one file or in shards: rows are read when they are asked for, and nothing is mapped.

A memory map of all rows is no smaller than they are once they were touched: its pages count as the process's (RssFile).
What is read from a file lies in the system's cache alone, and memory stays flat however many rows there are. A file
that was cut short is an error here, where a map would end the process.

inputs.npy                      one file, as numpy writes it; or
inputs-00000-of-00002.npy ...   shards, each of them such a file with the next rows
"""

import os
import weakref
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.errors import IntegrityError
from headstart.storage.arrays import ArrayWriter

DTYPES = (np.dtype(np.uint8), np.dtype(np.int32))  # pixels; tokens


class Stored:
    """(rows, ...) of numbers in files, indexed as an array is; what comes back is an array in memory."""

    def __init__(self, files: Sequence[Path]):
        """Opens the shards, in the order of their rows.

        Raises:
            IntegrityError: one is no array of numbers, or its rows have another shape or type than the first's.
        """
        self._shards = [_Shard(path) for path in files]
        for shard in self._shards:
            if (shard.shape[1:], shard.dtype) != (self._shards[0].shape[1:], self._shards[0].dtype):
                raise IntegrityError(
                    f"{shard.path} has rows of another shape or type than {files[0]}; run ingest again"
                )
        self._starts = [0, *accumulate(shard.shape[0] for shard in self._shards)]
        self.shape = (self._starts[-1], *self._shards[0].shape[1:])
        self.dtype = self._shards[0].dtype

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.shape[1:])) * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return len(self) * self.row_bytes

    def __getitem__(self, part: Any) -> NDArray[Any]:
        """Rows by a number, a slice, numbers or a mask; what follows in a tuple indexes within them, as numpy does."""
        first, rest = (part[0], part[1:]) if isinstance(part, tuple) else (part, ())
        rows = self._numbers(first)
        found = self._read(rows.ravel()).reshape(*rows.shape, *self.shape[1:])
        return found[(*(slice(None),) * rows.ndim, *rest)] if rest else found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All rows in memory: for few of them."""
        return np.asarray(self[:], dtype)

    def _numbers(self, part: Any) -> NDArray[np.intp]:
        if isinstance(part, slice):
            return np.arange(*part.indices(len(self)))
        rows = np.asarray(part)
        if rows.dtype == np.bool_ and rows.shape == (len(self),):
            return np.flatnonzero(rows)
        if rows.size and not np.issubdtype(rows.dtype, np.integer):
            raise IndexError(f"rows are given by numbers, a slice or a mask of {len(self)}, not by {part!r}")
        rows = rows.astype(np.intp, copy=False)
        if rows.size and not (-len(self) <= rows.min() and rows.max() < len(self)):
            raise IndexError(f"there are {len(self)} rows, {rows.min()} .. {rows.max()} were asked for")
        return np.where(rows < 0, rows + len(self), rows)

    def _read(self, rows: NDArray[np.intp]) -> NDArray[Any]:
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        self.read_into(found, rows)
        return found

    def read_into(self, found: NDArray[Any], rows: NDArray[np.intp]) -> None:
        """Reads rows, by their numbers from 0 on, to where they are wanted: (rows, ...), contiguous."""
        if not found.size:
            return
        into, each = memoryview(found.data).cast("B"), self.row_bytes
        for place, shard, row, count in self._runs(rows):
            shard.read(row * each, into[place * each : (place + count) * each])

    def _runs(self, rows: NDArray[np.intp]) -> Iterator[tuple[int, "_Shard", int, int]]:
        """(place in what is asked for, shard, first row in it, how many) of each run of rows that lie side by side."""
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        new = np.flatnonzero((np.diff(rows) != 1) | (np.diff(shards) != 0)) + 1
        places = [0, *new.tolist(), len(rows)]
        for place, end in zip(places, places[1:], strict=False):
            number = int(shards[place])
            yield place, self._shards[number], int(rows[place]) - self._starts[number], end - place


class _Shard:
    """One file, held open for reading."""

    def __init__(self, path: Path):
        self.path = path
        try:
            self._file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise IntegrityError(f"{path} cannot be read: {error.strerror}; run the step ingest again") from None
        weakref.finalize(self, os.close, self._file)
        with os.fdopen(os.dup(self._file), "rb") as file:
            self.shape, self.dtype, self._offset = _header(path, file)

    def read(self, start: int, into: memoryview) -> None:
        """Fills `into` with the bytes from `start` of the data on."""
        done = 0
        while done < len(into):  # the system gives 2 GB at a time at most
            count = os.preadv(self._file, [into[done:]], self._offset + start + done)
            if not count:
                raise IntegrityError(f"{self.path} is shorter than it was; delete its folder and run its step again")
            done += count


def _header(path: Path, file: Any) -> tuple[tuple[int, ...], "np.dtype[Any]", int]:
    """(shape, type, where the data begin) of a file that numpy could have written."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except ValueError as error:
        raise IntegrityError(f"{path} is no array of numpy's: {error}; run the step ingest again") from None
    if fortran or dtype not in DTYPES:
        raise IntegrityError(
            f"{path} holds {dtype} where whole numbers row by row are expected; run the step ingest again"
        )
    return shape, dtype, file.tell()


def write_shards(
    folder: Path, name: str, blocks: Iterable[NDArray[Any]], *, shape: tuple[int, ...], dtype: Any, most: float
) -> list[tuple[str, int]]:
    """Writes (rows, ...) that come block by block as <name>.npy, or as shards of at most `most` bytes of data.

    Returns (file, rows) of each. A shard has at least one row.
    """
    each = int(min(max(1.0, most / (int(np.prod(shape[1:])) * np.dtype(dtype).itemsize)), max(1, shape[0])))
    counts = [min(each, shape[0] - start) for start in range(0, shape[0], each)] or [0]
    names = [f"{name}.npy"]
    if len(counts) > 1:
        names = [f"{name}-{number:05d}-of-{len(counts):05d}.npy" for number in range(len(counts))]
    pieces = _pieces(blocks, counts)
    for file, count in zip(names, counts, strict=True):
        with ArrayWriter(folder / file, (count, *shape[1:]), np.dtype(dtype)) as writer:
            while writer.rows < count:
                writer.write(next(pieces))
    return list(zip(names, counts, strict=True))


def _pieces(blocks: Iterable[NDArray[Any]], counts: Sequence[int]) -> Iterator[NDArray[Any]]:
    """The blocks, cut where a shard ends."""
    ends = iter(accumulate(counts))
    done, end = 0, next(ends)
    for block in blocks:
        while len(block):
            part = block[: end - done]
            yield part
            done, block = done + len(part), block[len(part) :]
            if done == end:
                end = next(ends, end)
