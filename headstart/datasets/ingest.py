"""Ingest: files become a pack. Bad files are set aside with their reason; duplicates and groups are kept together."""

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Executor
from pathlib import Path

import numpy as np

from headstart.datasets.arrange import Arranged, arrange_source, arrange_target
from headstart.datasets.pack import BLOCK, POOL, Card, write_pack
from headstart.datasets.rows import Progress, Rows, read_rows
from headstart.datasets.settings import DataSettings
from headstart.datasets.spool import Ordered, spooling


def ingest_source(
    directory: Path,
    pack: Path,
    *,
    settings: DataSettings,
    excluded: Iterable[str],
    workers: Executor,
    progress: Progress,
    unit: str = "",
) -> Card:
    """Packs a source: all rows may be pretrained on, except those that are among the target's test rows.

    excluded: content digests (an id without its ordinal) of the target's test rows. unit: of the values, if any.

    Raises:
        DataError: see `read_rows` and `arrange_source`.
    """
    with spooling(pack.parent, _shape(settings)) as spool:
        rows = read_rows(directory, settings=settings, workers=workers, progress=progress, keep=spool.append)
        arranged = arrange_source(directory, rows, settings=settings, excluded=excluded)
        images = Ordered(spool, arranged.examples["row"].to_numpy())
        return _publish(pack, rows, arranged, images, settings=settings, unit=unit)


def ingest_target(
    directory: Path,
    pack: Path,
    *,
    settings: DataSettings,
    seed: int,
    workers: Executor,
    progress: Progress,
    unit: str = "",
) -> Card:
    """Packs a target: test rows are split off before anything is fitted, and their labels are put apart.

    unit: of the values, where the target is a number.

    Raises:
        DataError: see `read_rows` and `arrange_target`.
    """
    with spooling(pack.parent, _shape(settings)) as spool:
        rows = read_rows(directory, settings=settings, workers=workers, progress=progress, keep=spool.append)
        arranged = arrange_target(directory, rows, settings=settings, seed=seed)
        images = Ordered(spool, arranged.examples["row"].to_numpy())
        return _publish(pack, rows, arranged, images, settings=settings, unit=unit)


def _shape(settings: DataSettings) -> tuple[int, int, int]:
    return settings.image_size, settings.image_size, settings.channels


def _publish(pack: Path, rows: Rows, arranged: Arranged, images: Ordered, *, settings: DataSettings, unit: str) -> Card:
    examples = arranged.examples
    pool = examples[examples["split"] == POOL]
    mean, std = _moments(images, (examples["split"] == POOL).to_numpy(), channels=settings.channels)
    values = pool["value"].to_numpy()
    is_value = rows.kind == "value"
    card = Card(
        name=pack.name,
        classes=tuple(sorted(set(examples["label"].dropna()))),
        counts={str(k): int(v) for k, v in pool["label"].value_counts().sort_index().items()},
        splits={str(k): int(v) for k, v in examples["split"].value_counts().sort_index().items()},
        rejected=dict(sorted(Counter(reason.split(":")[0] for reason in rows.rejected["reason"]).items())),
        duplicates=arranged.duplicates,
        removed_overlap=arranged.removed,
        image_size=settings.image_size,
        channels=settings.channels,
        mean=mean,
        std=std,
        kind=rows.kind,
        unit=unit if is_value else "",
        target_mean=float(values.mean()) if is_value else 0.0,
        target_std=float(values.std()) if is_value and values.std() > 0 else 1.0,
        own_test=arranged.own_test,
        validation=arranged.validation,
    )
    stored = examples.drop(columns=["content", "row"])
    write_pack(pack, card=card, examples=stored, images=images, rejected=rows.rejected)
    return card


def _moments(
    images: Ordered, wanted: "np.ndarray[tuple[int], np.dtype[np.bool_]]", *, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and s.d. of the wanted rows' pixels by channel, as fractions of 1; whole numbers, so no block matters."""
    counts = np.zeros((channels, 256), np.int64)
    for start in range(0, images.shape[0], BLOCK):
        block = images[start : start + BLOCK][wanted[start : start + BLOCK]]
        for channel in range(channels):
            counts[channel] += np.bincount(block[..., channel].ravel(), minlength=256)
    levels = np.arange(256)
    total = counts.sum(1)
    mean = (counts @ levels) / total
    variance = (
        np.array([(row * (levels - centre) ** 2).sum() for row, centre in zip(counts, mean, strict=True)]) / total
    )
    return (
        tuple(float(value) for value in (mean / 255).round(6)),
        tuple(max(float(value), 1e-3) for value in (np.sqrt(variance) / 255).round(6)),
    )
