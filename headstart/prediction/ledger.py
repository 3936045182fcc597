"""Predictions that grow: a folder of parts by date, in which each input that was predicted is known again.

    <out>/date=2026-11-27/part-<time>-<digits>.parquet             path, prediction, ..., and KNOWN
    <out>/rejected/date=2026-11-27/part-<time>-<digits>.parquet    path, reason, and KNOWN

The parts themselves are the ledger: an input counts as predicted from the moment that the part with its prediction is
there, whole. So a run that is killed loses the part that it was at, and predicts its inputs again.
A file is known again by its path, size and time of change; a row that a table holds itself by its content, wherever it
stands by then.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
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
CONTENT = "content"  # by which a row is that has no file: sha256, "" of a file
KNOWN = (*FILE[1:], CONTENT, "model", "predicted_at")  # columns beside a prediction's own
ABSENT = -1  # size of a file that is not there; it is new once it is


@dataclass(frozen=True)
class Seen:
    """An input as it was found. size: of its file, or of the row itself, in bytes; mtime_ns: of its file."""

    path: str
    size: int
    mtime_ns: int
    content: str = ""

    @property
    def identity(self) -> tuple[str, int, int] | str:
        """By which it is known again."""
        return self.content or (self.path, self.size, self.mtime_ns)


@dataclass(frozen=True)
class NewInputs:
    """Inputs that no part knows, as they were found. already: how many are known.

    contents: of rows that a table holds itself, in the order of `files`.
    """

    root: Path
    files: Sequence[Seen]
    already: int
    contents: Callable[[], Iterator[str]] | None = None


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
    """Which inputs are not known in `out`; each file is looked at before it is read.

    Raises:
        DataError: a part cannot be read.
    """
    known = set(_known(out))
    found = list(_rows(inputs) if inputs.contents else (_seen(inputs.root, name) for name in inputs.names()))
    new: dict[tuple[str, int, int] | str, Seen] = {}  # one that is there twice is predicted once
    for one in found:
        if one.identity not in known:
            new.setdefault(one.identity, one)
    already = sum(one.identity in known for one in found)
    files = tuple(new.values())
    return NewInputs(inputs.root, files, already, (lambda: _contents(inputs, files)) if inputs.contents else None)


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
    waiting, contents = iter(new.files), new.contents() if new.contents else None
    while files := list(islice(waiting, PART)):
        seen = {one.path: one for one in files}
        done = predicted + rejected
        inputs = _inputs(new.root, tuple(seen), None if contents is None else tuple(islice(contents, len(files))))
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


def _inputs(root: Path, names: tuple[str, ...], contents: tuple[str, ...] | None) -> Inputs:
    return Inputs(root, len(names), lambda: iter(names), None if contents is None else lambda: iter(contents))


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


def _with_known(rows: pd.DataFrame, seen: dict[str, Seen], name: str) -> pd.DataFrame:
    found = [(one.size, one.mtime_ns, one.content) for one in (seen[path] for path in rows["path"])]
    files = pd.DataFrame(found, columns=[*FILE[1:], CONTENT])
    known = files.assign(model=name, predicted_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    return pd.concat([rows.reset_index(drop=True), known], axis=1)


def _known(out: Path) -> Iterator[tuple[str, int, int] | str]:
    """Identities of what the parts have; those of before there were tables of texts have no column CONTENT."""
    for path in sorted(out.glob("**/date=*/part-*.parquet")):
        try:
            there = set(pyarrow.parquet.read_schema(path).names)
            wanted = [*FILE, *({CONTENT} & there)]
            columns = pyarrow.parquet.read_table(path, columns=wanted, partitioning=None).to_pydict()
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{path} is no part of predictions: {error}; remove it, or give another folder") from None
        contents = columns.get(CONTENT, [""] * len(columns["path"]))
        rows = zip(*(columns[name] for name in FILE), contents, strict=True)
        yield from (Seen(*row).identity for row in rows)


def _rows(inputs: Inputs) -> Iterator[Seen]:
    assert inputs.contents is not None
    for name, text in zip(inputs.names(), inputs.contents(), strict=True):
        content = text.encode("utf-8", "surrogatepass")
        yield Seen(name, len(content), ABSENT, hashlib.sha256(content).hexdigest())


def _contents(inputs: Inputs, files: Sequence[Seen]) -> Iterator[str]:
    """The table's rows again, those alone."""
    assert inputs.contents is not None
    names = {one.path for one in files}
    return (text for name, text in zip(inputs.names(), inputs.contents(), strict=True) if name in names)


def _seen(root: Path, name: str) -> Seen:
    try:
        found = (root / name).stat() if name else None
    except OSError:
        found = None
    return Seen(name, found.st_size, found.st_mtime_ns) if found else Seen(name, ABSENT, ABSENT)
