"""Ingest: files become a pack. Bad files are set aside with their reason; duplicates are kept together."""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headstart.datasets.folder import Listing, list_folder
from headstart.datasets.pack import POOL, TEST, Card, write_pack
from headstart.datasets.settings import DataSettings
from headstart.datasets.splits import split_test
from headstart.errors import DataError
from headstart.modalities.image import Decoded, decode

CHUNK = 64  # files a worker decodes before it reports
SHOWN = 5  # bad files that an error names

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Chunk:
    """Work for one decoding worker; plain data, so that it can be sent to a process."""

    paths: tuple[str, ...]
    size: int
    channels: int


def decode_chunk(chunk: Chunk) -> list[Decoded]:
    """Decodes the files of a chunk; runs in a worker process."""
    return [decode(Path(path), size=chunk.size, channels=chunk.channels) for path in chunk.paths]


def ingest_source(
    directory: Path,
    pack: Path,
    *,
    settings: DataSettings,
    excluded: Iterable[str],
    workers: Executor,
    progress: Progress,
) -> Card:
    """Packs a source: all rows may be pretrained on, except those that are among the target's test rows.

    excluded: content digests (an id without its ordinal) of the target's test rows.

    Raises:
        DataError: see `read_rows`; or those test rows leave a class with too few.
    """
    examples, images, rejected = read_rows(directory, settings=settings, workers=workers, progress=progress)
    keep = ~examples["content"].isin(set(excluded)).to_numpy()
    removed = int((~keep).sum())
    _check_kept(directory, examples["label"], keep, settings=settings)
    examples, images = examples[keep].reset_index(drop=True), images[keep]
    examples["split"] = POOL
    return _publish(pack, examples, images, rejected, settings=settings, removed=removed)


def ingest_target(
    directory: Path, pack: Path, *, settings: DataSettings, seed: int, workers: Executor, progress: Progress
) -> Card:
    """Packs a target: test rows are split off before anything is fitted, and their labels are put apart.

    Raises:
        DataError: see `read_rows`.
    """
    examples, images, rejected = read_rows(directory, settings=settings, workers=workers, progress=progress)
    test = split_test(list(examples["label"]), list(examples["group"]), fraction=settings.test_fraction, seed=seed)
    examples["split"] = np.where(test, TEST, POOL)
    missing = set(examples["label"]) - set(examples.loc[~test, "label"])
    if missing:
        raise DataError(
            f"{directory}: class {sorted(missing)[0]!r} has no row outside the test rows; lower data.test_fraction, or "
            "add images of it that are not copies of one another"
        )
    return _publish(pack, examples, images, rejected, settings=settings, removed=0)


def read_rows(
    directory: Path, *, settings: DataSettings, workers: Executor, progress: Progress
) -> tuple[pd.DataFrame, NDArray[np.uint8], pd.DataFrame]:
    """Decodes a dataset: (examples without split, images (rows, size, size, channels), rejected files).

    The rows are in the order of their ids, which are digests of their content.

    Raises:
        DataError: no classes, too many bad files, or too few readable rows in a class.
    """
    listing = list_folder(directory)
    decoded = _decode_all(directory, listing, settings=settings, workers=workers, progress=progress)
    good = [row for row, item in enumerate(decoded) if item.pixels is not None]
    rejected = pd.DataFrame(
        [(listing.paths[row], item.reason) for row, item in enumerate(decoded) if item.pixels is None],
        columns=["path", "reason"],
    )
    _check_enough(directory, listing, rejected, good, settings=settings)
    content = [decoded[row].sha256[:32] for row in good]
    seen: Counter[str] = Counter()
    ids = []
    for digest in content:
        ids.append(f"{digest}-{seen[digest]}")
        seen[digest] += 1
    examples = pd.DataFrame(
        {
            "id": ids,
            "path": [listing.paths[row] for row in good],
            "label": [listing.labels[row] for row in good],
            "group": content,  # exact duplicates share one, so that they never lie on both sides of a split
            "content": content,
        }
    )
    order = np.argsort(ids)  # the folder's order would tell a test row's class
    pixels = np.stack([item.pixels for item in decoded if item.pixels is not None])
    return examples.iloc[order].reset_index(drop=True), pixels[order], rejected


def _decode_all(
    directory: Path, listing: Listing, *, settings: DataSettings, workers: Executor, progress: Progress
) -> list[Decoded]:
    paths = [str(directory / path) for path in listing.paths]
    chunks = [
        Chunk(tuple(paths[start : start + CHUNK]), settings.image_size, settings.channels)
        for start in range(0, len(paths), CHUNK)
    ]
    decoded: list[Decoded] = []
    for part in workers.map(decode_chunk, chunks):
        decoded += part
        progress(len(decoded), len(paths))
    return decoded


def _check_enough(
    directory: Path, listing: Listing, rejected: pd.DataFrame, good: list[int], *, settings: DataSettings
) -> None:
    share = len(rejected) / len(listing.paths)
    if share > settings.max_rejected:
        first = "; ".join(f"{path}: {reason}" for path, reason in rejected.head(SHOWN).itertuples(index=False))
        raise DataError(
            f"{directory}: {len(rejected)} of {len(listing.paths)} files cannot be read ({share:.0%}, at most "
            f"{settings.max_rejected:.0%} allowed): {first}. Repair or remove them, or raise data.max_rejected"
        )
    counts = Counter(listing.labels[row] for row in good)
    for label in sorted(set(listing.labels)):
        if counts[label] < settings.min_rows_per_class:
            raise DataError(
                f"{directory}: class {label!r} has {counts[label]} readable images, at least "
                f"{settings.min_rows_per_class} are needed; add images, remove the class, or lower "
                "data.min_rows_per_class"
            )


def _check_kept(directory: Path, labels: pd.Series, keep: NDArray[np.bool_], *, settings: DataSettings) -> None:
    kept = Counter(labels[keep])
    for label in sorted(set(labels)):
        if kept[label] < settings.min_rows_per_class:
            raise DataError(
                f"{directory}: {(~keep).sum()} of its {len(keep)} rows are among the target's test rows and are left "
                f"out; class {label!r} keeps {kept[label]}, at least {settings.min_rows_per_class} are needed; add "
                "images, remove the class, or choose another source"
            )


def _publish(
    pack: Path,
    examples: pd.DataFrame,
    images: NDArray[np.uint8],
    rejected: pd.DataFrame,
    *,
    settings: DataSettings,
    removed: int,
) -> Card:
    outside = (examples["split"] != TEST).to_numpy()
    pixels = images[outside].reshape(-1, settings.channels)
    card = Card(
        name=pack.name,
        classes=tuple(sorted(set(examples["label"]))),
        counts={str(k): int(v) for k, v in examples.loc[outside, "label"].value_counts().sort_index().items()},
        splits={str(k): int(v) for k, v in examples["split"].value_counts().sort_index().items()},
        rejected=dict(sorted(Counter(reason.split(":")[0] for reason in rejected["reason"]).items())),
        duplicates=int(examples["content"].duplicated().sum()),
        removed_overlap=removed,
        image_size=settings.image_size,
        channels=settings.channels,
        mean=tuple(float(value) for value in (pixels.mean(0) / 255).round(6)),
        std=tuple(max(float(value), 1e-3) for value in (pixels.std(0) / 255).round(6)),
    )
    write_pack(pack, card=card, examples=examples.drop(columns="content"), images=images, rejected=rejected)
    return card
