"""Folds as properties: units stay whole, classes are spread, and nothing but ids and seeds decides."""

from collections import Counter, defaultdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.datasets.folds import make_folds, too_few
from headstart.datasets.settings import MOST_SEEDS, DataSettings
from headstart.datasets.splits import split_folds

SEEDS = st.integers(0, 2**31 - 1)
ROWS = st.lists(st.tuples(st.integers(0, 25), st.sampled_from("abc")), min_size=1, max_size=60)
quick = settings(deadline=None, max_examples=60)


def split(rows, folds=5, seed=0, repeat=0):
    labels, groups = [label for _, label in rows], [f"g{group}" for group, _ in rows]
    return split_folds(labels, groups, folds=folds, seed=seed, repeats=[repeat])[0]


@quick
@given(ROWS, st.integers(2, 6), SEEDS, st.integers(0, 5))
def test_a_unit_is_in_one_fold_and_no_fold_is_empty(rows, folds, seed, repeat):
    found = split(rows, folds, seed, repeat)
    where = defaultdict(set)
    for (group, _), fold in zip(rows, found, strict=True):
        where[group].add(int(fold))
    assert all(len(places) == 1 for places in where.values())
    assert len(set(found)) == min(folds, len(where))


@quick
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60), st.integers(2, 6), SEEDS)
def test_each_class_is_spread_to_within_a_row(labels, folds, seed):
    found = split(list(enumerate(labels)), folds, seed)
    for name in set(labels):
        counts = Counter(int(fold) for fold, label in zip(found, labels, strict=True) if label == name)
        sizes = [counts[fold] for fold in range(folds)]
        assert max(sizes) - min(sizes) <= 1


@quick
@given(ROWS, SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(rows, seed, chance):
    expected = {group: int(fold) for (group, _), fold in zip(rows, split(rows, seed=seed), strict=True)}
    mixed = list(rows)
    chance.shuffle(mixed)
    again = {group: int(fold) for (group, _), fold in zip(mixed, split(mixed, seed=seed), strict=True)}
    assert again == expected


def test_every_repeat_and_every_seed_of_a_run_is_another_partition():
    rows = [(number, "a") for number in range(30)]
    found = {tuple(split(rows, seed=seed, repeat=repeat)) for seed in range(3) for repeat in range(10)}
    assert len(found) == 30


def frame(labels, groups=None, values=None):
    count = len(labels)
    return pd.DataFrame(
        {
            "label": labels,
            "value": values if values is not None else [np.nan] * count,
            "group": groups or [f"u{number}" for number in range(count)],
        }
    )


@pytest.mark.parametrize(("each", "largest"), [(20, 16), (12, 9), (4, 3)])
def test_what_every_class_has_outside_of_each_fold(each, largest):
    found = make_folds(frame(["a", "b", "c"] * each), kind="class", settings=DataSettings(), seed=0)
    assert found.count == 5
    assert found.table.shape == (MOST_SEEDS, 3 * each)
    assert found.outside == {"a": largest, "b": largest, "c": largest}
    assert found.largest_label_budget == largest


def test_of_values_it_is_all_rows_and_every_fold_covers_the_range():
    values = np.linspace(0, 99, 100)
    found = make_folds(frame([None] * 100, values=values), kind="value", settings=DataSettings(), seed=0)
    assert found.outside == {"": 80}
    for fold in range(5):
        inside = values[found.table[0] == fold]
        assert inside.min() < 12
        assert inside.max() > 87


def test_a_class_of_one_group_has_nothing_outside_its_fold():
    found = make_folds(
        frame(["a"] * 6 + ["b"] * 6, groups=["g"] * 6 + [f"h{n}" for n in range(6)]),
        kind="class",
        settings=DataSettings(),
        seed=0,
    )
    assert found.outside == {"a": 0, "b": 4}


def test_there_are_no_more_folds_than_units():
    found = make_folds(
        frame(["a", "b"] * 6, groups=["g", "h", "k"] * 4), kind="class", settings=DataSettings(folds=5), seed=0
    )
    assert found.count == 3


@pytest.mark.parametrize(
    ("units", "smallest", "expected"), [(374, 150, True), (375, 150, False), (10, 0, False), (1, 1, True)]
)
def test_a_test_set_is_too_small_below_the_stated_resolution(units, smallest, expected):
    assert too_few(units, DataSettings(smallest_test=smallest)) is expected
