"""Which rows are test rows, pool and unlabelled, and which leave: from the rows' contents and the seed alone."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headstart.datasets.folds import Folds, make_folds, too_few
from headstart.datasets.listing import VAL
from headstart.datasets.pack import POOL, TEST, UNLABELLED
from headstart.datasets.rows import Rows
from headstart.datasets.settings import FEWEST_LABELS, DataSettings
from headstart.datasets.splits import split_test
from headstart.datasets.units import bins_of, join_units
from headstart.datasets.values import given_columns
from headstart.errors import DataError
from headstart.registry import similar

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Arranged:
    """The rows that stay, in the order of their ids; the folder's order would tell a test row's class.

    examples: id, path, label, value (or several), split, group (the unit that the row belongs to), content, near (its
    cluster of near duplicates, or null), row (its place in Rows). removed: rows that left. own_test: whether the
    dataset brought its own test rows. validation: how many rows it gave as val, which are in the pool. duplicates: rows
    that stay and repeat another's content. folds: where cross-validation takes the place of test rows; of the pool, in
    the order of its rows.
    """

    examples: pd.DataFrame
    removed: int
    own_test: bool
    validation: int
    folds: Folds | None = None

    @property
    def scored(self) -> pd.DataFrame:
        """The rows that evaluation scores: the test rows, or those of all folds."""
        return self.examples[self.examples["split"] == (TEST if self.folds is None else POOL)]

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in order; none where the target is a number."""
        return tuple(sorted(set(self.examples["label"].dropna())))

    @property
    def duplicates(self) -> int:
        return int(self.examples["content"].duplicated().sum())

    @property
    def near_duplicates(self) -> int:
        """Rows that stay and nearly repeat another's content."""
        unlike = self.examples[~self.examples["content"].duplicated()]
        return int(unlike["near"].dropna().duplicated().sum())


def arrange_target(path: Path, rows: Rows, *, settings: DataSettings, seed: int) -> Arranged:
    """The dataset's own test rows as they are, or else a drawn share; what repeats a test row leaves the other rows.

    Drawn test rows take whole units (exact duplicates, groups, and chains of them) and about the same share of each
    class, or of each bin of the values (units.py). Where they would be too few, all labelled rows are test rows in turn
    and stay in the pool, in folds.

    Raises:
        DataError: a group is on both sides, a class or the values have too few rows outside the test rows, or there are
            attributes alone.
    """
    refuse_attributes(path, [own.name for own in rows.attributes])
    examples = rows.examples
    given = examples["given"]
    own = bool((given == TEST).any())
    unlabelled = (given == UNLABELLED).to_numpy()
    if not own and too_few(len(set(np.array(_units(examples), dtype=object)[~unlabelled])), settings):
        return _in_folds(path, rows, unlabelled, settings=settings, seed=seed)
    test = (given == TEST).to_numpy() if own else _draw_test(rows, settings=settings, seed=seed)
    removed = _repeats(examples, test, unlabelled)
    if own:
        _check_groups(path, examples, test, ~test & ~removed)
    split = np.where(test, TEST, np.where(unlabelled, UNLABELLED, POOL))
    arranged = _arrange(rows, split, ~removed, own_test=own)
    _check_pool(path, arranged, rows, settings=settings)
    return arranged


def refuse_attributes(path: Path, names: Sequence[str]) -> None:
    """Refuses rows that have attributes in place of a class or a value: there is nothing to predict in a target.

    names: of the attributes.

    Raises:
        DataError: there are some.
    """
    if names:
        raise DataError(
            f"{path} has attributes ({', '.join(names)}) and neither classes nor values; that is enough for a source "
            "alone (headstart check --as source): a target needs a label or a value in some of its rows"
        )


def arrange_source(path: Path, rows: Rows, *, settings: DataSettings, excluded: Iterable[str]) -> Arranged:
    """All rows may be learned from, those of its own splits too, except where their content is excluded.

    Raises:
        DataError: a class or the values keep too few rows.
    """
    examples = rows.examples
    keep = ~examples["content"].isin(set(excluded)).to_numpy()
    _check_kept(path, rows, keep, settings=settings)
    split = np.where(examples["given"] == UNLABELLED, UNLABELLED, POOL)
    return _arrange(rows, split, keep, own_test=False)


def _in_folds(path: Path, rows: Rows, unlabelled: Mask, *, settings: DataSettings, seed: int) -> Arranged:
    """All labelled rows in the pool, with their folds; unlabelled rows that repeat one, or share its group, leave."""
    removed = _repeats(rows.examples, ~unlabelled, unlabelled)
    split = np.where(unlabelled, UNLABELLED, POOL)
    arranged = _arrange(rows, split, ~removed, own_test=False)
    pool = arranged.examples[arranged.examples["split"] == POOL]
    folds = make_folds(pool, kind=rows.kind, settings=settings, seed=seed)
    for name, count in folds.outside.items():
        if count < FEWEST_LABELS:
            raise DataError(
                f"{path}: {f'class {name!r}' if name else 'the target'} has {count} rows outside a fold of "
                f"cross-validation, at least {FEWEST_LABELS} are needed; add rows of it that are neither copies of "
                "one another nor of one group, or remove the class"
            )
    return replace(arranged, folds=folds)


def _draw_test(rows: Rows, *, settings: DataSettings, seed: int) -> Mask:
    examples = rows.examples
    labelled = np.flatnonzero(examples["given"] != UNLABELLED)
    units = np.array(_units(examples), dtype=object)[labelled]
    known = examples.iloc[labelled]
    strata = list(known["label"])
    if rows.kind != "class":
        strata = bins_of(known[given_columns(known)].to_numpy(dtype=np.float64))
    test = np.zeros(len(examples), dtype=bool)
    test[labelled] = split_test(strata, list(units), fraction=settings.test_fraction, seed=seed)
    return test


def _units(examples: pd.DataFrame) -> list[str]:
    groups, near = ([None if pd.isna(name) else str(name) for name in examples[column]] for column in ("group", "near"))
    return join_units(list(examples["content"]), groups, near)


def _repeats(examples: pd.DataFrame, test: Mask, unlabelled: Mask) -> Mask:
    """Rows that are no test rows but have the content of one, or nearly; and unlabelled rows of a test row's group."""
    content, near = (examples[name].isin(set(examples.loc[test, name].dropna())) for name in ("content", "near"))
    same = (content | near).to_numpy()
    group = examples["group"].isin(set(examples.loc[test, "group"].dropna())).to_numpy()
    found: Mask = ~test & (same | (unlabelled & group))
    return found


def _arrange(rows: Rows, split: NDArray[np.str_], keep: Mask, *, own_test: bool) -> Arranged:
    kept = rows.examples.assign(split=split)[keep]
    kept = kept.assign(id=_ids(list(kept["content"])), group=_units(kept))
    validation = int(((kept["given"] == VAL) & (kept["split"] == POOL)).sum())
    ordered = kept.iloc[np.argsort(kept["id"].to_numpy(dtype=object))].reset_index(drop=True)
    columns = ["id", "path", "label", *given_columns(kept), "split", "group", "content", "near", "row"]
    return Arranged(ordered[columns], int((~keep).sum()), own_test, validation)


def _check_groups(path: Path, examples: pd.DataFrame, test: Mask, outside: Mask) -> None:
    both = set(examples.loc[test, "group"].dropna()) & set(examples.loc[outside, "group"].dropna())
    if both:
        name = sorted(both)[0]
        rows = examples[examples["group"] == name]
        inside, out = rows[test[rows.index]]["path"].iloc[0], rows[outside[rows.index]]["path"].iloc[0]
        raise DataError(
            f"{path}: {len(both)} groups lie on both sides of the dataset's own split, such as {name!r} ({inside} is a "
            f"test row, {out} is not); give each group one split, or leave the group column out: "
            '--data.group_column ""'
        )


def _check_pool(path: Path, arranged: Arranged, rows: Rows, *, settings: DataSettings) -> None:
    pool = arranged.examples[arranged.examples["split"] == POOL]
    missing = set(rows.examples["label"].dropna()) - set(pool["label"].dropna())
    if missing and not arranged.own_test:
        raise DataError(
            f"{path}: class {sorted(missing)[0]!r} has no row outside the test rows; lower data.test_fraction, or "
            "add rows of it that are not copies of one another"
        )
    if not arranged.own_test:
        return
    counts = Counter(pool["label"].dropna())
    for label in sorted(set(rows.examples["label"].dropna())):
        if counts[label] < settings.min_rows_per_class:
            raise DataError(
                f"{path}: class {label!r}{similar(label, counts)} has {counts[label]} rows outside the dataset's own "
                "test rows, at least "
                f"{settings.min_rows_per_class} are needed; add rows that are not copies of test rows, remove the "
                "class, or lower data.min_rows_per_class"
            )
    if rows.kind == "value" and len(pool) < settings.min_rows_of_values:
        raise DataError(
            f"{path} has {len(pool)} rows outside the dataset's own test rows, at least {settings.min_rows_of_values} "
            "are needed; add rows that are not copies of test rows, or lower data.min_rows_of_values"
        )


def _check_kept(path: Path, rows: Rows, keep: Mask, *, settings: DataSettings) -> None:
    gone = f"{path}: {(~keep).sum()} of its {len(keep)} rows are among the target's test rows and are left out"
    if rows.kind != "class":
        left = int((rows.labelled & keep).sum())
        if left < settings.min_rows_of_values:
            raise DataError(
                f"{gone}; it keeps {left}, at least {settings.min_rows_of_values} are needed; add rows, or choose "
                "another source"
            )
    kept = Counter(rows.examples["label"][keep].dropna())
    for label in sorted(set(rows.examples["label"].dropna())):
        if kept[label] < settings.min_rows_per_class:
            raise DataError(
                f"{gone}; class {label!r} keeps {kept[label]}, at least {settings.min_rows_per_class} are needed; add "
                "rows, remove the class, or choose another source"
            )


def _ids(contents: Sequence[str]) -> list[str]:
    """The id of each row: the digest of its content, and how many rows of that content came before."""
    seen: Counter[str] = Counter()
    ids = []
    for content in contents:
        ids.append(f"{content}-{seen[content]}")
        seen[content] += 1
    return ids
