"""Prediction of many rows: decoded in workers, predicted in batches, written as they come, in the order given."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from headstart.datasets.settings import how_of
from headstart.errors import DataError, HeadstartError
from headstart.modalities.decoded import Decoded
from headstart.modalities.table import MODALITIES
from headstart.prediction.inputs import Files, Inputs, decode_files
from headstart.prediction.model import Model
from headstart.prediction.output import sinks

CHUNK = 64  # files a worker decodes before it reports
AHEAD = 16  # chunks that are decoded or wait for the network; memory is bounded by it
SHOWN = 5  # files that an error names

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Counts:
    """How many rows were predicted; how many could not be read, and the first of them as (path, reason)."""

    predicted: int
    rejected: int
    first_rejected: tuple[tuple[str, str], ...]


def predict(
    model: Model, inputs: Inputs, out: Path | None, *, workers: Executor, batch_size: int, progress: Progress
) -> Counts:
    """Predicts every input that can be read; a row each in `out`, or printed where that is None.

    Columns: path, prediction, and what else the model gives (`probability.<class>`). Inputs that cannot be read are
    listed with the reason in `rejected_path(out)`. workers: a pool that decodes.

    Raises:
        DataError: none can be read, or `out` cannot be written; nothing is written then.
        HeadstartError: a worker died, most likely for lack of memory.
    """
    predicted, rejected = 0, 0
    first: list[tuple[str, str]] = []
    with sinks(out) as (predictions, refusals):
        for table, refused in answers(model, inputs, workers, batch_size):
            if len(table):
                predictions.write(table)
            if len(refused) and refusals is not None:
                refusals.write(refused)
            predicted, rejected = predicted + len(table), rejected + len(refused)
            first += list(refused.itertuples(index=False, name=None))[: SHOWN - len(first)]
            progress(predicted + rejected, inputs.count)
        if not predicted:
            raise DataError(
                f"none of {inputs.count:,} {MODALITIES.get(model.card.modality).many} can be read: "
                f"{'; '.join(f'{name}: {reason}' for name, reason in first)}; nothing is written"
            )
    return Counts(predicted, rejected, tuple(first))


def answers(
    model: Model, inputs: Inputs, workers: Executor, batch_size: int
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Batch by batch, in order: a row for each that was predicted, and (path, reason) of those that cannot be read.

    Raises:
        HeadstartError: a worker died, most likely for lack of memory.
    """
    for batch in _batches(_decoded(model, inputs, workers), batch_size):
        yield answer(model, batch)


def answer(model: Model, batch: Sequence[tuple[str, Decoded]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The same of named rows that are decoded already."""
    good = [(name, item.values) for name, item in batch if item.values is not None]
    bad = [(name, item.reason) for name, item in batch if item.values is None]
    table = pd.DataFrame({"path": []})
    if good:
        table = model.predict(np.stack([values for _, values in good]))
        table.insert(0, "path", [name for name, _ in good])
    return table, pd.DataFrame(bad, columns=["path", "reason"])


def _decoded(model: Model, inputs: Inputs, workers: Executor) -> Iterator[tuple[str, Decoded]]:
    """(name, decoded) of each input, in order, with a bounded number of chunks at work."""
    names, how = inputs.names(), how_of(model.card)
    contents = inputs.contents() if inputs.contents else iter(())
    waiting: deque[tuple[tuple[str, ...], Future[list[Decoded]]]] = deque()
    try:
        while True:
            while len(waiting) < AHEAD and (chunk := tuple(islice(names, CHUNK))):
                own = tuple(islice(contents, CHUNK))
                files = Files(str(inputs.root), chunk, model.card.modality, how, own)
                waiting.append((chunk, workers.submit(decode_files, files)))
            if not waiting:
                return
            chunk, future = waiting.popleft()
            yield from zip(chunk, future.result(), strict=True)
    except BrokenExecutor:
        raise HeadstartError("a worker process died (killed, or out of memory); nothing is written") from None
    finally:
        for _, future in waiting:
            future.cancel()


def _batches(rows: Iterator[tuple[str, Decoded]], size: int) -> Iterator[list[tuple[str, Decoded]]]:
    while batch := list(islice(rows, size)):
        yield batch
