"""Cross-validation in place of a test set that would be too small: which rows are predicted together, seed by seed."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headstart.datasets.settings import MOST_SEEDS, DataSettings
from headstart.datasets.splits import split_folds
from headstart.datasets.units import bins_of
from headstart.datasets.values import given_columns


@dataclass(frozen=True)
class Folds:
    """Partitions of all labelled rows into folds, one for each seed that a run may have.

    count: folds of a partition. table: (MOST_SEEDS, rows) int8, the fold of each row. outside: by class (or "" of
    values), the rows that are outside of every fold of every partition; the least of them bounds the label budget.
    """

    count: int
    table: NDArray[np.int8]
    outside: dict[str, int]

    @property
    def largest_label_budget(self) -> int:
        return min(self.outside.values())


def too_few(units: int, settings: DataSettings) -> bool:
    """Whether a test set of these independent units would be below the stated resolution."""
    return units * settings.test_fraction < settings.smallest_test


def make_folds(examples: pd.DataFrame, *, kind: str, settings: DataSettings, seed: int) -> Folds:
    """Partitions labelled rows for every seed of a run, with about the same share of each class in every fold.

    examples: label, value (or several), group (the unit, which stays whole). Of values each fold has its share of every
    bin.
    """
    units = list(examples["group"])
    counted = list(examples["label"]) if kind == "class" else [""] * len(examples)
    strata = counted if kind == "class" else bins_of(examples[given_columns(examples)].to_numpy(dtype=np.float64))
    count = min(settings.folds, len(set(units)))
    table = split_folds(strata, units, folds=count, seed=seed, repeats=range(MOST_SEEDS))
    names = np.array(counted, dtype=object)
    outside = {}
    for name in sorted(set(counted)):
        own = table[:, names == name]
        inside = max(int(np.bincount(part, minlength=count).max()) for part in own)
        outside[name] = own.shape[1] - inside
    return Folds(count, table, outside)
