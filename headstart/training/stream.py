"""Inputs of a training that are too many for memory: read window by window, the next one while one is trained on."""

import sys
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from headstart.datasets.stored import Stored
from headstart.training.order import Windows

Key = tuple[int, int]  # epoch, window


class Stream:
    """The inputs of a training's rows (rows, ...), of which two windows are in memory at most."""

    def __init__(self, inputs: Stored, places: NDArray[np.intp], order: Windows, reader: Executor):
        """places: numbers of the rows that are trained on, ascending; rows are positions in it."""
        self._inputs, self._places, self._order, self._reader = inputs, places, order, reader
        self._windows: dict[Key, Future[NDArray[Any]]] = {}

    def __len__(self) -> int:
        return len(self._places)

    @property
    def nbytes(self) -> int:
        """More than any device has: what is read as a stream is kept nowhere whole."""
        return sys.maxsize

    def at(self, step: int) -> Tensor:
        """The rows of a step. From here on their windows are read; of others only the next one is kept."""
        needed = self._order.needed(step)
        kept = needed if len(needed) > 1 else [*needed, self._order.after(*needed[0])]
        self._windows = {key: self._windows.get(key) or self._reader.submit(self._read, key) for key in kept}
        return self._order.rows(step)

    def __getitem__(self, rows: NDArray[np.intp]) -> NDArray[Any]:
        """Inputs of rows: from the windows, or from the disk where they are in none."""
        found = np.empty((len(rows), *self._inputs.shape[1:]), self._inputs.dtype)
        blocks = rows // self._order.block
        missing = np.ones(len(rows), np.bool_)
        for key, window in self._windows.items():
            own = np.array(self._order.blocks_of(*key))
            inside = missing & np.isin(blocks, own)
            if inside.any():
                found[inside] = window.result()[self._places_in(own, rows[inside])]
                missing &= ~inside
        if missing.any():
            found[missing] = self._inputs[self._places[rows[missing]]]
        return found

    def _places_in(self, own: NDArray[np.intp], rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Where rows lie in a window of these blocks; all blocks but the last of all rows are equally long."""
        return np.searchsorted(own, rows // self._order.block) * self._order.block + rows % self._order.block

    def _read(self, key: Key) -> NDArray[Any]:
        """A window's rows, block by block in the order of the disk; in the reader's thread."""
        spans = [self._order.rows_of(block) for block in self._order.blocks_of(*key)]
        window = np.empty((sum(stop - start for start, stop in spans), *self._inputs.shape[1:]), self._inputs.dtype)
        done = 0
        for start, stop in spans:
            self._inputs.read_into(window[done : done + stop - start], self._places[start:stop])
            done += stop - start
        return window


@contextmanager
def streaming(inputs: Stored, places: NDArray[np.intp], order: Windows) -> Iterator[Stream]:
    """A stream with its reader, which ends with it."""
    with ThreadPoolExecutor(1, thread_name_prefix="read ahead") as reader:
        yield Stream(inputs, places, order, reader)
