"""Predictions that grow: a folder of parts by date, in which each input that was predicted is known again.

    <out>/date=2026-11-27/part-<time>-<digits>.parquet             path, prediction, ..., and KNOWN
    <out>/rejected/date=2026-11-27/part-<time>-<digits>.parquet    path, reason, and KNOWN

The parts themselves are the ledger: an input counts as predicted from the moment that the part with its prediction is
there, whole. So a run that is killed loses the part that it was at, and predicts its inputs again.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet

from headstart.errors import BusyError, DataError, UserError
from headstart.prediction.inputs import Inputs
from headstart.prediction.model import Model
from headstart.prediction.output import Written
from headstart.prediction.predict import SHOWN, Counts, Progress, answers

PART = 10_000  # inputs that become known together: no more than these are predicted again after a kill
FILE = ("path", "size", "mtime_ns")  # by which a file is known again: one that was changed is new
KNOWN = (*FILE[1:], "model", "predicted_at")  # columns beside a prediction's own
ABSENT = -1  # size of a file that is not there; it is new once it is

Seen = tuple[str, int, int]


@dataclass(frozen=True)
class NewInputs:
    """Inputs that no part knows, as they were found. already: how many are known."""

    root: Path
    files: Sequence[Seen]
    already: int


@contextmanager
def holding(out: Path) -> Iterator[None]:
    """Holds a folder of predictions for this process; what a killed one left half-written is removed.

    Raises:
        BusyError: another process holds it.
        UserError: it is a file.
    """
    from filelock import FileLock, Timeout

    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; new predictions are added to a folder: give one, or leave out --new-only")
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0):
            for leftover in out.glob("**/.part-*.tmp-*"):
                leftover.unlink()
            yield
    except Timeout:
        raise BusyError(f"another process is adding predictions to {out}; wait for it, or stop it") from None


def find_new(inputs: Inputs, out: Path) -> NewInputs:
    """Which inputs are not known in `out` by path, size and time of change; each is looked at before it is read.

    Raises:
        DataError: a part cannot be read, or the rows are no files.
    """
    if inputs.contents:
        raise DataError(
            "which rows of a table are new cannot be told, as they are no files of their own; predict the table itself "
            "with `headstart predict`"
        )
    known = set(_known(out))
    found = [_seen(inputs.root, name) for name in inputs.names()]
    new = {file[0]: file for file in found if file not in known}  # one that is named twice is predicted once
    return NewInputs(inputs.root, tuple(new.values()), sum(file in known for file in found))


def predict_new(
    model: Model, new: NewInputs, out: Path, *, name: str, workers: Executor, batch_size: int, progress: Progress
) -> Counts:
    """Adds the predictions of new inputs to `out`, a part for each PART of them; see `predict` for the columns.

    name: the model's, which stands beside each row with the time. What cannot be read is known too, and listed.

    Raises:
        DataError: `out` cannot be written.
        HeadstartError: a worker died; the parts that are there stay.
    """
    predicted, rejected = 0, 0
    first: list[tuple[str, str]] = []
    waiting = iter(new.files)
    while files := list(islice(waiting, PART)):
        seen = {path: (size, changed) for path, size, changed in files}
        done = predicted + rejected
        inputs = Inputs(new.root, len(files), lambda names=tuple(seen): iter(names))  # type: ignore[misc]
        with _part(out) as (good, bad):
            for table, refused in answers(model, inputs, workers, batch_size):
                for sink, rows in ((good, table), (bad, refused)):
                    if len(rows):
                        sink.write(_with_known(rows, seen, name))
                predicted, rejected = predicted + len(table), rejected + len(refused)
                first += list(refused.itertuples(index=False, name=None))[: SHOWN - len(first)]
                progress(predicted + rejected, len(new.files))
        assert predicted + rejected == done + len(files)
    return Counts(predicted, rejected, tuple(first))


@contextmanager
def _part(out: Path) -> Iterator[tuple[Written, Written]]:
    """Two files that appear at the end of the block, what was rejected first: the predictions are the last word."""
    now = datetime.now(UTC)
    place = Path(f"date={now:%Y-%m-%d}", f"part-{now:%H%M%S}-{os.urandom(4).hex()}.parquet")
    paths = (out / place, out / "rejected" / place)
    try:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        with Written(paths[0]) as good, Written(paths[1]) as bad:
            yield good, bad
            bad.commit()
            good.commit()
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        for path in paths:
            _remove_empty(path.parent)


def _remove_empty(folder: Path) -> None:
    while folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _with_known(rows: pd.DataFrame, seen: dict[str, tuple[int, int]], name: str) -> pd.DataFrame:
    files = pd.DataFrame([seen[path] for path in rows["path"]], columns=list(FILE[1:]))
    known = files.assign(model=name, predicted_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    return pd.concat([rows.reset_index(drop=True), known], axis=1)


def _known(out: Path) -> Iterator[Seen]:
    for path in sorted(out.glob("**/date=*/part-*.parquet")):
        try:
            columns = pyarrow.parquet.read_table(path, columns=list(FILE), partitioning=None).to_pydict()
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{path} is no part of predictions: {error}; remove it, or give another folder") from None
        yield from zip(*(columns[name] for name in FILE), strict=True)


def _seen(root: Path, name: str) -> Seen:
    try:
        found = (root / name).stat() if name else None
    except OSError:
        found = None
    return (name, found.st_size, found.st_mtime_ns) if found else (name, ABSENT, ABSENT)
