"""How fast a delivered model predicts: rows a second in batches, and milliseconds for a row that comes alone.

Rows are preprocessed and in memory, uint8; the clock stops when the prediction is there. On a CPU it is one thread, if
that is what the accelerator was started with.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from headstart.prediction.model import Model

SECONDS = 0.15  # for the batches, and once more for the single rows
LONGEST_BATCH = 0.04  # seconds, from which on a batch is not made larger
FEWEST, MOST = 3, 500  # measurements of each kind


@dataclass(frozen=True)
class Speed:
    """After warming up, over repeats.

    rows_per_second: of the fastest batch of `batch_rows`, for what else the machine does only makes others slower (as
    Python's timeit has it). latency_ms_p50, latency_ms_p99: of one row. batches, singles: how many
    measurements there are of each.
    """

    rows_per_second: float
    latency_ms_p50: float
    latency_ms_p99: float
    batch_rows: int
    batches: int
    singles: int


def measure_speed(model: Model, images: NDArray[np.uint8]) -> Speed:
    """Predicts these rows again and again for about a third of a second.

    images: (rows, channels, height, width), at least one; they are repeated where a batch takes more.
    """
    rows = np.resize(images, (model.batch_size, *images.shape[1:]))
    size = _batch_rows(model, rows)
    batches = _timed(model, cycle([rows[:size]]))
    singles = 1e3 * _timed(
        model, cycle([rows[place : place + 1] for place in range(min(len(images), model.batch_size))])
    )
    return Speed(
        rows_per_second=size / float(batches.min()),
        latency_ms_p50=float(np.median(singles)),
        latency_ms_p99=float(np.percentile(singles, 99)),
        batch_rows=size,
        batches=len(batches),
        singles=len(singles),
    )


def _batch_rows(model: Model, rows: NDArray[np.uint8]) -> int:
    """The largest batch that is still short, found by doubling from one row: that warms up as well."""
    size = 1
    _once(model, rows[:1])  # what is set up at the first call is no part of any speed
    while size < model.batch_size and min(_once(model, rows[:size]) for _ in range(2)) < LONGEST_BATCH / 2:
        size *= 2
    return size


def _timed(model: Model, batches: Iterator[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Seconds of each prediction, for SECONDS in all: FEWEST at least, MOST at most."""
    found: list[float] = []
    while len(found) < FEWEST or (sum(found) < SECONDS and len(found) < MOST):
        found.append(_once(model, next(batches)))
    return np.array(found)


def _once(model: Model, rows: NDArray[np.uint8]) -> float:
    start = time.perf_counter()
    model.predict(rows)
    return time.perf_counter() - start
