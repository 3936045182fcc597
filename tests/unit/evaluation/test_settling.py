"""What would settle a verdict: by the verdict's own formula, no more than needed, and words for it."""

from types import SimpleNamespace

import numpy as np
import pytest
from evaluation_simulator import Design, entrants

from headstart.evaluation.contrasts import Contrast, contrast
from headstart.evaluation.intervals import Parts, combine
from headstart.evaluation.sentences import settling_words
from headstart.evaluation.settling import Needed, to_settle


def measured(
    rows: int = 200, seeds: int = 5, seed_sd: float = 0.0, gain: float = 0.12, seed: int = 0, overlap: float = 0.0
) -> Contrast:
    design = Design(rows=rows, seeds=seeds, seed_sd=seed_sd)
    scratch, full = entrants(np.random.default_rng(seed), design, [1.2, 1.2 + gain])
    return contrast(full, scratch, units=np.arange(rows), overlap=overlap, confidence=0.95)


def half_width(found: Contrast, *, units: int, seeds: int) -> float:
    """Written out: parts that fall as one over their number, and the interval's own degrees of freedom."""
    rows = found.interval.row_part * found.units / units
    of_seeds = found.interval.seed_part * found.seeds / seeds
    parts = Parts(rows=rows, seeds=of_seeds, residual=0.0)
    return combine(0.0, parts, seeds=seeds, units=units, overlap=0.0, confidence=0.95).high


def test_so_many_rows_are_just_enough():
    found = measured()
    needed = to_settle(found, margin=0.001, confidence=0.95)
    size = abs(found.interval.estimate)
    assert needed.units > found.units
    assert half_width(found, units=needed.units, seeds=5) < size <= half_width(found, units=needed.units - 1, seeds=5)


def test_so_many_seeds_are_just_enough():
    found = measured(rows=4000, seed_sd=0.08, gain=0.2)
    needed = to_settle(found, margin=0.001, confidence=0.95)
    size = abs(found.interval.estimate)
    assert needed.units is None, "no number of rows helps against seeds that differ so much"
    assert needed.seeds > 5
    assert half_width(found, units=4000, seeds=needed.seeds) < size
    assert half_width(found, units=4000, seeds=needed.seeds - 1) >= size


def test_a_difference_within_the_margin_is_to_be_settled_as_equivalent():
    found = measured(gain=0.0)
    margin = 2 * abs(found.interval.estimate) + 0.01
    needed = to_settle(found, margin=margin, confidence=0.95)
    assert half_width(found, units=needed.units, seeds=5) < margin - abs(found.interval.estimate)


def test_where_neither_does_alone_both_are_asked_for():
    found = measured(rows=30, seed_sd=0.08, gain=0.1, seed=4)
    needed = to_settle(found, margin=0.0001, confidence=0.95)
    assert needed is not None
    assert (needed.units, needed.seeds) == (None, None)
    size = abs(found.interval.estimate)
    assert half_width(found, units=needed.times * 30, seeds=needed.times * 5) < size


def test_no_difference_at_the_margin_itself_can_be_settled_by_nothing():
    found = measured()
    assert to_settle(found, margin=abs(found.interval.estimate), confidence=0.95) is None


def test_seeds_that_share_labels_are_not_asked_for_more_of():
    found = measured(rows=4000, seed_sd=0.08, gain=0.2, overlap=0.2)
    assert to_settle(found, margin=0.001, confidence=0.95) is None


def test_with_one_seed_only_rows_are_asked_for():
    needed = to_settle(measured(seeds=1), margin=0.001, confidence=0.95)
    assert needed.units > 200
    assert (needed.seeds, needed.times) == (None, None)


@pytest.mark.parametrize(
    ("needed", "said"),
    [
        (
            Needed(units=2351, seeds=14, times=None),
            "about 2,400 labelled test rows (719 now), or 14 seeds (5 now), each with labels of its own",
        ),
        (Needed(units=None, seeds=14, times=None), "14 seeds (5 now), each with labels of its own"),
        (Needed(units=720, seeds=None, times=None), "about 720 labelled test rows (719 now)"),
        (Needed(units=None, seeds=None, times=3), "about 3 times the test rows and the seeds (719 and 5 now)"),
    ],
)
def test_in_words(needed, said):
    now = SimpleNamespace(units=719, grouped=False, seeds=5)
    whole = f"to settle a difference of this size, at even odds: {said}"
    assert settling_words(needed, now) == whole
    grouped = SimpleNamespace(units=719, grouped=True, seeds=5)
    assert settling_words(needed, grouped) == f"to settle a difference of this size, at even odds: {said}".replace(
        "row", "group"
    )
