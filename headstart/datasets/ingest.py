"""Ingest: files become a pack. Bad files are set aside with their reason; duplicates and groups are kept together."""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

import pandas as pd

from headstart.datasets.arrange import Arranged, arrange_source, arrange_target
from headstart.datasets.pack import BLOCK, POOL, Card, write_pack
from headstart.datasets.rows import Progress, Rows, read_rows
from headstart.datasets.settings import DataSettings
from headstart.datasets.signatures import Signatures, read_signatures
from headstart.datasets.spool import Ordered, spooling
from headstart.datasets.table import is_built_in
from headstart.datasets.values import Value, columns_of, with_units
from headstart.modalities.table import fields_of, row_shape
from headstart.storage.spreadsheet import without_formulas


def ingest_source(
    directory: Path,
    pack: Path,
    *,
    settings: DataSettings,
    excluded: Iterable[str],
    workers: Executor,
    progress: Progress,
    units: Sequence[str] = (),
) -> Card:
    """Packs a source: all rows may be pretrained on, except those that the target is tested on.

    excluded: content digests (an id without its ordinal) of the target's rows that are scored. units: of the
        values, one for all or one for each.

    Raises:
        DataError: see `read_rows` and `arrange_source`.
    """
    with spooling(pack.parent, *_rows_of(settings)) as spool:
        rows = read_rows(directory, settings=settings, workers=workers, progress=progress, keep=spool.append)
        arranged = arrange_source(directory, rows, settings=settings, excluded=excluded)
        inputs = Ordered(spool, arranged.examples["row"].to_numpy())
        return _publish(pack, rows, arranged, inputs, settings=settings, units=units)


def ingest_target(
    directory: Path,
    pack: Path,
    *,
    settings: DataSettings,
    seed: int,
    workers: Executor,
    progress: Progress,
    units: Sequence[str] = (),
) -> Card:
    """Packs a target: test rows are split off before anything is fitted, and their labels are put apart.

    units: of the values, one for all or one for each.

    Raises:
        DataError: see `read_rows`, `arrange_target` and `read_signatures`.
    """
    with spooling(pack.parent, *_rows_of(settings)) as spool:
        near = likeness(directory, settings)
        rows = read_rows(directory, settings=settings, workers=workers, progress=progress, keep=spool.append, near=near)
        arranged = arrange_target(directory, rows, settings=settings, seed=seed)
        known = read_signatures(directory, arranged.classes)
        inputs = Ordered(spool, arranged.examples["row"].to_numpy())
        return _publish(pack, rows, arranged, inputs, settings=settings, units=units, signatures=known)


def likeness(dataset: Path, settings: DataSettings) -> float:
    """From which a target's rows are near duplicates; built-ins are as they were published, copies and all."""
    return 1.0 if is_built_in(dataset.name) else settings.near_duplicates


def _rows_of(settings: DataSettings) -> tuple[tuple[int, ...], str]:
    """Shape and type of a row."""
    modality = settings.row_kind.load()
    return row_shape(settings.modality, modality.channels(settings), modality.size(settings)), modality.dtype


def _publish(
    pack: Path,
    rows: Rows,
    arranged: Arranged,
    inputs: Ordered,
    *,
    settings: DataSettings,
    units: Sequence[str],
    signatures: Signatures | None = None,
) -> Card:
    examples = arranged.examples
    pool = examples[examples["split"] == POOL]
    is_pool = (examples["split"] == POOL).to_numpy()
    modality = settings.row_kind.load()
    fields = fields_of(settings)
    starts = range(0, inputs.shape[0], BLOCK)
    blocks = (inputs[start : start + BLOCK][is_pool[start : start + BLOCK]] for start in starts)
    mean, std = modality.moments(blocks, channels=fields["channels"])
    card = Card(
        name=pack.name,
        classes=arranged.classes,
        counts={str(k): int(v) for k, v in pool["label"].value_counts().sort_index().items()},
        splits={str(k): int(v) for k, v in examples["split"].value_counts().sort_index().items()},
        rejected=dict(sorted(Counter(reason.split(":")[0] for reason in rows.rejected["reason"]).items())),
        duplicates=arranged.duplicates,
        near_duplicates=arranged.near_duplicates,
        removed_overlap=arranged.removed,
        mean=mean,
        std=std,
        **fields,
        kind=rows.kind,
        values=_values(rows, pool, units),
        own_test=arranged.own_test,
        validation=arranged.validation,
        test_units=int(arranged.scored["group"].nunique()),
        folds=arranged.folds.count if arranged.folds else 0,
        largest_label_budget=arranged.folds.largest_label_budget if arranged.folds else 0,
        attributes=rows.attributes,
        signatures=signatures.columns if signatures else (),
        changed=rows.changes,
        statistics=rows.statistics,
    )
    stored = examples.drop(columns=["content", "near", "row"])
    folds = arranged.folds.table if arranged.folds else None
    write_pack(
        pack,
        card=card,
        examples=stored,
        inputs=inputs,
        rejected=without_formulas(rows.rejected),
        folds=folds,
        attributes=rows.codes[examples["row"].to_numpy()] if rows.attributes else None,
        signatures=signatures.table if signatures else None,
        shard_gb=settings.shard_gb,
    )
    return card


def _values(rows: Rows, pool: pd.DataFrame, units: Sequence[str]) -> tuple[Value, ...]:
    """With mean and s.d. over the pool; what does not vary there keeps an s.d. of 1."""
    values = with_units(rows.names, units)
    columns = [pool[own.given].to_numpy() for own in columns_of(rows.names)] if values else []
    return tuple(
        replace(own, mean=float(column.mean()), std=float(column.std()) or 1.0)
        for own, column in zip(values, columns, strict=True)
    )
