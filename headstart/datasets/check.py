"""Reads a dataset as ingest would, and says what a run would make of it; writes nothing."""

import os
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headstart.datasets.arrange import Arranged, arrange_source, arrange_target
from headstart.datasets.folder import UNLABELLED_FOLDERS, is_visible, list_rows
from headstart.datasets.ingest import likeness
from headstart.datasets.pack import POOL, TEST
from headstart.datasets.rows import Progress, Rows, inspect_rows
from headstart.datasets.settings import DataSettings
from headstart.datasets.signatures import read_signatures
from headstart.datasets.split_folders import is_split
from headstart.datasets.splits import draw_labels
from headstart.datasets.values import columns_of
from headstart.errors import DataError

UNEVEN = 10  # times as many rows in the largest class as in the smallest
FEWEST_UNITS = 10  # test units below which no verdict is settled


def check(
    path: Path,
    *,
    settings: DataSettings,
    seed: int,
    budgets: tuple[int, ...],
    seeds: int,
    workers: Executor,
    progress: Progress,
    anywhere: bool = True,
) -> dict[str, Any]:
    """What a run would make of a dataset as its target, as plain values: counts, splits, what is set aside, warnings.

    budgets: labels a class that the run would draw, the headline first; others that are too large are left out.
    seeds: how many draws. anywhere: whether its table may name files outside of its folder. The result's "error" is
    what the run would say when it draws labels, "" where it could; in folds a run lowers its budgets to what there is.

    Raises:
        DataError: what ingest would say; it would stop there.
    """
    rows = inspect_rows(
        path, settings=settings, workers=workers, progress=progress, anywhere=anywhere, near=likeness(path, settings)
    )
    arranged = arrange_target(path, rows, settings=settings, seed=seed)
    examples = arranged.examples
    pool = examples[examples["split"] == POOL]
    folds = arranged.folds
    known = read_signatures(path, arranged.classes)
    found = {
        "error": _refusal(pool, budgets[0], seed=seed) if rows.kind == "class" and not folds else "",
        "path": str(path),
        "kind": rows.kind,
        "value_names": list(rows.names),
        "splits": {str(name): int(count) for name, count in examples["split"].value_counts().sort_index().items()},
        "own_test": arranged.own_test,
        "validation": arranged.validation,
        "folds": folds.count if folds else 0,
        "test_rows": len(arranged.scored),
        "test_units": int(arranged.scored["group"].nunique()),
        "units": int(examples["group"].nunique()),
        "duplicates": arranged.duplicates,
        "near_duplicates": arranged.near_duplicates,
        "removed": arranged.removed,
        "rejected": rows.rejected.to_dict("records"),
        "class_attributes": list(known.columns) if known else [],
        **_looks(rows, settings),
        **(_classes(examples, seeds) if rows.kind == "class" else _values(examples, rows.names)),
        **({"largest_label_budget": folds.largest_label_budget} if folds else {}),
    }
    return found | {"warnings": _warnings(found, rows, arranged, settings, budgets=budgets, seeds=seeds)}


def check_source(
    path: Path, *, settings: DataSettings, workers: Executor, progress: Progress, anywhere: bool = True
) -> dict[str, Any]:
    """What a run would make of a dataset as its source, as plain values, before the target's test rows leave it.

    Raises:
        DataError: what ingest would say.
    """
    rows = inspect_rows(path, settings=settings, workers=workers, progress=progress, anywhere=anywhere)
    arranged = arrange_source(path, rows, settings=settings, excluded=())
    examples = arranged.examples
    labels = examples["label"].value_counts().sort_index()
    return {
        "error": "",
        "path": str(path),
        "kind": rows.kind,
        "value_names": list(rows.names),
        "splits": {str(name): int(count) for name, count in examples["split"].value_counts().sort_index().items()},
        "classes": {str(name): int(count) for name, count in labels.items()},
        "values": _values(examples, rows.names)["values"] if rows.kind == "value" else {},
        "attributes": _attributes(rows),
        "units": int(examples["group"].nunique()),
        "duplicates": arranged.duplicates,
        "rejected": rows.rejected.to_dict("records"),
        **_looks(rows, settings),
        "warnings": settings.row_kind.load().warnings(rows.facts, settings),
    }


def _attributes(rows: Rows) -> dict[str, dict[str, Any]]:
    """Of each: what it is, its categories where it is a tag, and of how many rows it is known."""
    known = np.isfinite(rows.codes).sum(axis=0)
    return {
        own.name: {"kind": own.kind, "categories": list(own.categories), "known": int(count)}
        for own, count in zip(rows.attributes, known, strict=True)
    }


def _refusal(pool: pd.DataFrame, budget: int, *, seed: int) -> str:
    """What the first training would say, "" where it could draw its labels."""
    try:
        draw_labels(list(pool["id"]), list(pool["label"]), budget=budget, stride=budget, seed=seed, draw=0)
    except DataError as error:
        return str(error)
    return ""


def _classes(examples: pd.DataFrame, seeds: int) -> dict[str, Any]:
    counts = {
        split: examples.loc[examples["split"] == split, "label"].value_counts().to_dict() for split in (POOL, TEST)
    }
    names = sorted(set(examples["label"].dropna()))
    smallest = min(counts[POOL].values())
    return {
        "classes": {name: {split: int(counts[split].get(name, 0)) for split in (POOL, TEST)} for name in names},
        "largest_label_budget": int(smallest),
        "largest_disjoint_label_budget": int(smallest // seeds),
    }


def _values(examples: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    """By split how values are spread; of several values by split and name."""
    columns = [own.given for own in columns_of(names)]
    known = examples[examples[columns].notna().all(axis=1)]
    summary = {
        split: [_spread(known.loc[known["split"] == split, column]) for column in columns]
        for split in (POOL, TEST)
        if split in set(known["split"])
    }
    if len(names) == 1:
        return {"values": {split: parts[0] for split, parts in summary.items()}}
    return {"values": {split: dict(zip(names, parts, strict=True)) for split, parts in summary.items()}}


def _spread(column: "pd.Series[float]") -> dict[str, float]:
    found = column.describe()[["mean", "std", "min", "50%", "max"]].to_dict()
    return {str(name): float(value) for name, value in found.items()}


def _looks(rows: Rows, settings: DataSettings) -> dict[str, Any]:
    return {"changed": rows.changes, "many": settings.row_kind.many, "looks": settings.row_kind.load().said(rows.facts)}


def _warnings(
    found: dict[str, Any],
    rows: Rows,
    arranged: Arranged,
    settings: DataSettings,
    *,
    budgets: tuple[int, ...],
    seeds: int,
) -> list[str]:
    """One sentence each, the gravest first."""
    parts = [
        *_warn_of_test(found),
        *_warn_of_folders(found, settings),
        *(_warn_of_classes(found, max(budgets), seeds) if rows.kind == "class" else []),
        *settings.row_kind.load().warnings(rows.facts, settings),
    ]
    if arranged.removed:
        parts.append(f"{arranged.removed} rows are left out because they repeat test rows, or nearly")
    return parts


def _warn_of_test(found: dict[str, Any]) -> list[str]:
    units, rows = found["test_units"], found["test_rows"]
    if units >= FEWEST_UNITS:
        return []
    return [f"the {rows} test rows are {units} independent units; below {FEWEST_UNITS} no verdict can be settled"]


def _warn_of_folders(found: dict[str, Any], settings: DataSettings) -> list[str]:
    """Folders where one would look for a class."""
    path = Path(found["path"])
    if not path.is_dir() or found["kind"] != "class" or is_split(path):
        return []
    folders = sorted(
        entry.name
        for entry in os.scandir(path)
        if entry.is_dir(follow_symlinks=False) and is_visible(entry.name) and entry.name not in UNLABELLED_FOLDERS
    )
    empty = [name for name in folders if name not in found["classes"] and not list_rows(path / name, settings.row_kind)]
    return [f"folder {name!r} holds no {settings.row_kind.one} and is no class" for name in empty]


def _warn_of_classes(found: dict[str, Any], budget: int, seeds: int) -> list[str]:
    classes: dict[str, dict[str, int]] = found["classes"]
    pool = {name: count[POOL] for name, count in classes.items()}
    few = [] if found["folds"] else [name for name, count in pool.items() if count < budget * seeds]
    untested = [] if found["folds"] else [name for name, count in classes.items() if not count[TEST]]
    parts = []
    if untested:
        parts.append(f"{_some(untested)}: no test row, so nothing is said of it")
    if few:
        parts.append(
            f"{_some(few)}: fewer than {budget * seeds} rows in the pool, so the {seeds} seeds share labels at a "
            f"budget of {budget} and the interval widens"
        )
    if max(pool.values()) > UNEVEN * min(pool.values()):
        large, small = max(pool, key=pool.__getitem__), min(pool, key=pool.__getitem__)
        parts.append(f"the classes are uneven: {pool[large]:,} rows of {large!r}, {pool[small]:,} of {small!r}")
    return parts


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:3])
    return f"class{'es' * (len(names) > 1)} {shown}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")
