"""Decodes the files of a dataset, chunk by chunk: rows with their digests, and the files that are set aside."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headstart.datasets.folder import printable
from headstart.datasets.listing import Kind, Listing
from headstart.datasets.near import near_duplicates
from headstart.datasets.pack import TEST, UNLABELLED, Attribute
from headstart.datasets.read import list_labelled
from headstart.datasets.settings import DataSettings
from headstart.datasets.units import value_table
from headstart.errors import DataError, HeadstartError
from headstart.modalities.decoded import Decoded
from headstart.modalities.table import MODALITIES
from headstart.registry import similar

CHUNK = 64  # files a worker decodes before it reports
AHEAD = 8  # chunks that are decoded or wait at a time: what bounds the memory
SHOWN = 10  # bad files that an error names
STATISTICS = (0.0, 0.5, 0.95, 1.0)  # quantiles
MOST_CRASHES = 20  # files that end a process, before it is taken for the machine's fault
DIED = "a process that decodes files died (killed, or out of memory); nothing was written, run again"

Progress = Callable[[int, int], None]
Keep = Callable[[NDArray[Any]], None]


@dataclass(frozen=True)
class Chunk:
    """Work for one decoding worker; plain data, so that it can be sent to a process.

    sources: files, or (str) rows themselves. how: as the modality decodes them.
    """

    sources: tuple[Path | str, ...]
    modality: str
    how: Any
    sketched: bool = False


@dataclass(frozen=True)
class Rows:
    """A dataset's usable rows, in the order of the listing, and what was set aside.

    examples: path, label, value (or several: values.py), given (the split that the dataset gives, or null), group (the
    user's, or null), content (digest of what was decoded), near (its cluster of near duplicates, or null), row (its
    number among those that were kept, and in codes). rejected: path, reason. facts: path, changes, and what the
    modality tells of each, such as width. attributes: what they have in place of labels and values. codes: (rows,
    attributes), nan where unknown. names: of the values.
    """

    examples: pd.DataFrame
    rejected: pd.DataFrame
    facts: pd.DataFrame
    kind: Kind
    attributes: tuple[Attribute, ...]
    codes: NDArray[np.float64]
    names: tuple[str, ...] = ()

    @property
    def changes(self) -> dict[str, int]:
        """How many rows had to be made like the others, by what was done to them."""
        return dict(sorted(Counter(change for changes in self.facts["changes"] for change in changes).items()))

    @property
    def statistics(self) -> dict[str, list[float]]:
        """Of each fact that is a number: the least, the median, the 95th percentile and the largest."""
        numbers = self.facts.select_dtypes("number")
        if not len(numbers):
            return {}
        return {str(name): np.quantile(numbers[name], STATISTICS).round(4).tolist() for name in numbers}

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """(rows,): which of them have a label, a value or an attribute."""
        return (self.examples["given"] != UNLABELLED).to_numpy()


def decode_chunk(chunk: Chunk) -> list[Decoded]:
    """Decodes what a chunk names; runs in a worker process."""
    modality = MODALITIES.get(chunk.modality).load()
    found = [modality.decode(source, chunk.how) for source in chunk.sources]
    good = [place for place, item in enumerate(found) if item.values is not None]
    if chunk.sketched and good:
        sketches = modality.sketch(np.stack([found[place].values for place in good]))  # type: ignore[misc]
        for place, own in zip(good, () if sketches is None else sketches, strict=sketches is not None):
            item = found[place]  # dataclasses.replace() takes four times as long
            found[place] = Decoded(item.values, item.sha256, "", item.facts, item.changes, own)
    return found


def inspect_chunk(chunk: Chunk) -> list[Decoded]:
    """As `decode_chunk`, but sends no rows back."""
    return [item.without_values() for item in decode_chunk(chunk)]


def read_rows(
    path: Path, *, settings: DataSettings, workers: Executor, progress: Progress, keep: Keep, near: float = 1
) -> Rows:
    """Decodes a dataset; `keep` is given what each usable row was decoded to, in the rows' order.

    near: likeness from which two rows are near duplicates; 1: none are looked for.

    Raises:
        DataError: no labels, too many bad files, or too few readable rows in a class or of values.
    """
    listing = list_labelled(path, settings)
    return _read(
        path, listing, decode_chunk, settings=settings, workers=workers, progress=progress, keep=keep, near=near
    )


def inspect_rows(
    path: Path, *, settings: DataSettings, workers: Executor, progress: Progress, anywhere: bool = True, near: float = 1
) -> Rows:
    """As `read_rows`, for those who need no values; of a dataset that may not be registered yet.

    anywhere: whether its table may name files outside of its folder.
    """
    listing = list_labelled(path, settings, anywhere=anywhere)
    return _read(
        path, listing, inspect_chunk, settings=settings, workers=workers, progress=progress, keep=_drop, near=near
    )


def _drop(values: NDArray[Any]) -> None:
    """Keeps nothing."""


def _read(
    path: Path,
    listing: Listing,
    work: Callable[[Chunk], list[Decoded]],
    *,
    settings: DataSettings,
    workers: Executor,
    progress: Progress,
    keep: Keep,
    near: float,
) -> Rows:
    folder = path.parent if path.is_file() else path
    rejected = list(listing.rejected)
    good: list[int] = []
    content: list[str] = []
    facts = []
    sketches = []
    kind = MODALITIES.get(settings.modality)
    how = Chunk((), kind.name, kind.load().how(settings), sketched=near < 1)
    decoded = _decoded(folder, listing, work, how, workers=workers, progress=progress)
    for row, item in enumerate(decoded):
        if item.reason:
            rejected.append((listing.paths[row], item.reason))
            continue
        if item.values is not None:
            keep(item.values)
        if near < 1:
            sketches.append(item.sketch)
        good.append(row)
        content.append(item.sha256[:32])
        facts.append({"path": listing.paths[row], "changes": item.changes, **item.facts})
    conflicts = _two_labels(listing, good, content) if listing.kind == "class" else {}
    rejected += [(listing.paths[good[place]], reason) for place, reason in conflicts.items()]
    kept = [place for place in range(len(good)) if place not in conflicts]
    rows = Rows(
        examples=pd.DataFrame(
            {
                "path": _column([listing.paths[row] for row in good]),
                "label": _column([listing.labels[row] for row in good]),
                **value_table((listing.values[row] for row in good), listing.names),
                "given": _column([listing.splits[row] for row in good]),
                "group": _column([listing.groups[row] for row in good]),
                "content": _column(content),
                "near": _column(near_duplicates(content, sketches, similarity=near)),
                "row": np.arange(len(good)),
            }
        )
        .iloc[kept]
        .reset_index(drop=True),
        rejected=pd.DataFrame(
            [(printable(place), printable(reason)) for place, reason in rejected], columns=["path", "reason"]
        ),
        facts=pd.DataFrame.from_records(facts, columns=list(facts[0]) if facts else ["path", "changes"])
        .iloc[kept]
        .reset_index(drop=True),
        kind=listing.kind,
        attributes=listing.attributes,
        names=listing.names,
        codes=np.array([listing.codes[row] for row in good] if listing.codes else [()] * len(good), dtype=np.float64),
    )
    _check_rejected(path, rows, total=len(listing) + len(listing.rejected), settings=settings)
    _check_enough(path, rows, set(listing.labels) - {None}, settings=settings)  # type: ignore[arg-type]
    return rows


def _two_labels(listing: Listing, good: Sequence[int], content: Sequence[str]) -> dict[int, str]:
    """Why labelled rows are set aside whose content another class has too, by their place in `good`.

    A test set of the dataset's own has the last word: what repeats one of its rows leaves anyway.
    """
    tested = {digest for row, digest in zip(good, content, strict=True) if listing.splits[row] == TEST}
    rows = [
        (place, listing.labels[row], digest)
        for place, (row, digest) in enumerate(zip(good, content, strict=True))
        if listing.splits[row] == TEST or digest not in tested
    ]
    classes: dict[str, dict[str, int]] = {}  # of each content: a place for each label
    for place, label, digest in rows:
        if label is not None:
            classes.setdefault(digest, {}).setdefault(label, place)
    found = {}
    for place, label, digest in rows:
        if label is not None and len(classes[digest]) > 1:
            other, copy = next((name, copy) for name, copy in classes[digest].items() if name != label)
            found[place] = f"TWO_LABELS: {label!r}, and {other!r} as {listing.paths[good[copy]]}"
    return found


def _column(values: list[str | None] | list[str]) -> "pd.Series[str]":
    return pd.Series(values, dtype="str")


def _decoded(
    folder: Path,
    listing: Listing,
    work: Callable[[Chunk], list[Decoded]],
    how: Chunk,
    *,
    workers: Executor,
    progress: Progress,
) -> Iterator[Decoded]:
    """how: a chunk of nothing."""
    count = len(listing)
    chunks = (
        replace(how, sources=tuple(listing.source(folder, row) for row in range(start, min(start + CHUNK, count))))
        for start in range(0, count, CHUNK)
    )
    done = 0
    for part in _in_order(workers, work, chunks):
        yield from part
        done += len(part)
        progress(done, count)


def _in_order(
    workers: Executor, work: Callable[[Chunk], list[Decoded]], chunks: Iterable[Chunk]
) -> Iterator[list[Decoded]]:
    """Results in the order of the chunks, with a bounded number under way: Executor.map would take all at once.

    A file that ends the process which decodes it is set aside; the other files of its chunk are read once more.

    Raises:
        HeadstartError: one process after the other died, or there are no more of them.
    """
    waiting: deque[tuple[Chunk, Future[list[Decoded]]]] = deque()
    crashes = _Crashes(workers, work)
    for chunk in chunks:
        waiting.append((chunk, crashes.submit(chunk)))
        if len(waiting) >= AHEAD:
            yield crashes.result(*waiting.popleft())
    while waiting:
        yield crashes.result(*waiting.popleft())


class _Crashes:
    """Work in processes of which one may die: all that was under way is lost with it, and done again alone."""

    def __init__(self, workers: Executor, work: Callable[[Chunk], list[Decoded]]):
        self._workers, self._work = workers, work
        self._count = 0

    def submit(self, chunk: Chunk) -> Future[list[Decoded]]:
        try:
            return self._workers.submit(self._work, chunk)
        except BrokenExecutor:  # of a pool that starts no new processes
            raise HeadstartError(DIED) from None

    def result(self, chunk: Chunk, future: Future[list[Decoded]]) -> list[Decoded]:
        for attempt in (future, None):
            try:
                return (attempt or self.submit(chunk)).result()
            except BrokenExecutor:
                continue
        if len(chunk.sources) > 1:
            alone = [replace(chunk, sources=(source,)) for source in chunk.sources]
            return [item for one in alone for item in self.result(one, self.submit(one))]
        self._count += 1
        if self._count > MOST_CRASHES:
            raise HeadstartError(DIED)
        return [Decoded(None, "", "DECODER_CRASH: twice, reading it ended the process (killed, or out of memory)")]


def _check_rejected(path: Path, rows: Rows, *, total: int, settings: DataSettings) -> None:
    share = len(rows.rejected) / total
    if share > settings.max_rejected:
        first = "; ".join(f"{place}: {reason}" for place, reason in rows.rejected.head(SHOWN).itertuples(index=False))
        raise DataError(
            f"{path}: {len(rows.rejected)} of {total} {settings.row_kind.many} cannot be read ({share:.0%}, at most "
            f"{settings.max_rejected:.0%} allowed): {first}. Repair or remove them, or raise data.max_rejected"
        )


def _check_enough(path: Path, rows: Rows, classes: set[str], *, settings: DataSettings) -> None:
    if rows.kind != "class":
        found = int(rows.labelled.sum())
        if found < settings.min_rows_of_values:
            raise DataError(
                f"{path} has {found} readable {settings.row_kind.many} with "
                f"{'a value' if rows.kind == 'value' else 'an attribute'}, at least {settings.min_rows_of_values} are "
                f"needed; add {settings.row_kind.many}, or lower data.min_rows_of_values"
            )
        return
    counts = Counter(rows.examples["label"].dropna())
    for label in sorted(classes):
        if counts[label] < settings.min_rows_per_class:
            raise DataError(
                f"{path}: class {label!r}{similar(label, classes)} has {counts[label]} readable "
                f"{settings.row_kind.one if counts[label] == 1 else settings.row_kind.many}, at least "
                f"{settings.min_rows_per_class} are needed; add {settings.row_kind.many}, remove the class, or lower "
                "data.min_rows_per_class"
            )
