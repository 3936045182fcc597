"""Ingest: files become a pack. Bad files are set aside with their reason; duplicates and groups are kept together."""

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Executor
from pathlib import Path

from headstart.datasets.arrange import Arranged, arrange_source, arrange_target
from headstart.datasets.moments import pixel_moments
from headstart.datasets.pack import BLOCK, POOL, Card, write_pack
from headstart.datasets.rows import Progress, Rows, read_rows
from headstart.datasets.settings import DataSettings
from headstart.datasets.signatures import Signatures, read_signatures
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
    """Packs a source: all rows may be pretrained on, except those that the target is tested on.

    excluded: content digests (an id without its ordinal) of the target's rows that are scored. unit: of the values.

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
        DataError: see `read_rows`, `arrange_target` and `read_signatures`.
    """
    with spooling(pack.parent, _shape(settings)) as spool:
        rows = read_rows(directory, settings=settings, workers=workers, progress=progress, keep=spool.append)
        arranged = arrange_target(directory, rows, settings=settings, seed=seed)
        known = read_signatures(directory, arranged.classes)
        images = Ordered(spool, arranged.examples["row"].to_numpy())
        return _publish(pack, rows, arranged, images, settings=settings, unit=unit, signatures=known)


def _shape(settings: DataSettings) -> tuple[int, int, int]:
    return settings.channels, settings.image_size, settings.image_size


def _publish(
    pack: Path,
    rows: Rows,
    arranged: Arranged,
    images: Ordered,
    *,
    settings: DataSettings,
    unit: str,
    signatures: Signatures | None = None,
) -> Card:
    examples = arranged.examples
    pool = examples[examples["split"] == POOL]
    is_pool = (examples["split"] == POOL).to_numpy()
    starts = range(0, images.shape[0], BLOCK)
    blocks = (images[start : start + BLOCK][is_pool[start : start + BLOCK]] for start in starts)
    mean, std = pixel_moments(blocks, channels=settings.channels)
    values = pool["value"].to_numpy()
    is_value = rows.kind == "value"
    card = Card(
        name=pack.name,
        classes=arranged.classes,
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
        test_units=int(arranged.scored["group"].nunique()),
        folds=arranged.folds.count if arranged.folds else 0,
        largest_label_budget=arranged.folds.largest_label_budget if arranged.folds else 0,
        attributes=rows.attributes,
        signatures=signatures.columns if signatures else (),
    )
    stored = examples.drop(columns=["content", "row"])
    folds = arranged.folds.table if arranged.folds else None
    write_pack(
        pack,
        card=card,
        examples=stored,
        images=images,
        rejected=rows.rejected,
        folds=folds,
        attributes=rows.codes[examples["row"].to_numpy()] if rows.attributes else None,
        signatures=signatures.table if signatures else None,
        shard_gb=settings.shard_gb,
    )
    return card
