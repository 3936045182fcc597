"""Labels and compute saved: by hand on small tables, and at the ends of what was measured."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from headstart.evaluation.document import Saving
from headstart.evaluation.intervals import Sampling
from headstart.evaluation.savings import _isotonic, compute_saved, labels_saved

ROWS = 1000
SAMPLING = Sampling(units=np.arange(ROWS), overlap=0.0, confidence=0.95)


def right(share: float, seeds: int = 3) -> np.ndarray:
    """The same first rows right under each seed: nothing varies but by the entrant."""
    return np.tile(np.arange(ROWS) < round(share * ROWS), (seeds, 1)).astype(float)


def saved(strategy: float, curve: dict[int, float]) -> Saving:
    tables = {budget: right(share) for budget, share in curve.items()}
    return labels_saved(right(strategy), tables, headline_budget=10, sampling=SAMPLING)


def test_labels_are_interpolated_in_logarithms():
    saving = saved(0.85, {5: 0.6, 10: 0.7, 20: 0.8, 40: 0.9})
    assert saving.ratio == pytest.approx(2 * np.sqrt(2))  # half way from 20 to 40
    assert (saving.bound, saving.censored) == ("=", False)
    assert 2.0 < saving.low < saving.ratio < saving.high < 4.0


def test_the_interval_holds_the_budgets_that_cannot_be_told_apart():
    saving = saved(0.85, {20: 0.8, 40: 0.9})
    # at a share x of the doubling, scratch is x * .1 above .8 on rows 800..900, the strategy 1 on 800..850: the
    # interval of the difference excludes 0 once |.5 - x| * .1 passes its half-width
    low, high = np.log2(saving.low / 2), np.log2(saving.high / 2)
    assert low == pytest.approx(1 - high, abs=0.02)
    x = high
    values = np.concatenate([np.zeros(900), np.full(50, 1 - x), np.full(50, -x)])
    half_width = 1.96 * np.sqrt(values.var() / ROWS + 1 / (ROWS + 2) ** 2)
    assert (x - 0.5) * 0.1 == pytest.approx(half_width, abs=0.0015)


def test_above_the_curves_end_the_ratio_is_a_lower_bound():
    assert saved(0.95, {5: 0.6, 10: 0.7, 20: 0.8}) == Saving(ratio=2, low=2, high=None, censored=True, bound=">=")


def test_below_the_curves_start_it_is_an_upper_bound():
    assert saved(0.4, {5: 0.6, 10: 0.7, 20: 0.8}) == Saving(ratio=0.5, low=None, high=0.5, censored=True, bound="<=")


def test_a_score_just_above_the_end_leaves_the_lower_side_open_to_doubt():
    strategy = np.roll(right(0.805), 100, axis=1)  # right on other rows than scratch: 100 flips each way
    curve = {5: right(0.6), 10: right(0.7), 20: right(0.8)}
    saving = labels_saved(strategy, curve, headline_budget=10, sampling=SAMPLING)
    assert (saving.ratio, saving.bound, saving.high) == (2, ">=", None)
    assert 1 < saving.low < 2


def test_the_headline_budget_alone_says_more_or_less():
    assert saved(0.9, {10: 0.7}) == Saving(ratio=1, low=1, high=None, censored=True, bound=">=")
    assert saved(0.7, {10: 0.7}) == Saving(ratio=1, low=None, high=None, censored=False, bound="=")


def test_a_plateau_gives_the_fewest_labels_that_reach_it():
    assert saved(0.8, {5: 0.6, 10: 0.8, 20: 0.8, 40: 0.8}).ratio == 1


def test_a_curve_out_of_order_is_made_monotone():
    # 10 and 20 are pooled at .75: reached at 10
    assert saved(0.75, {5: 0.55, 10: 0.8, 20: 0.7, 40: 0.9}).ratio == pytest.approx(1)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6))
def test_the_monotone_curve_is_the_isotonic_regression(levels):
    tables = [np.full((2, 5), level / 20) for level in levels]
    fitted = IsotonicRegression().fit_transform(np.arange(len(levels)), np.array(levels) / 20)
    assert [table.mean() for table in _isotonic(tables)] == pytest.approx(list(fitted))


@settings(max_examples=30, deadline=None)
@given(
    st.floats(0, 1),
    st.dictionaries(st.sampled_from([1, 5, 10, 20, 50]), st.floats(0, 1), min_size=1),
    st.integers(1, 3),
)
def test_any_curve_gives_an_ordered_interval(strategy, curve, seeds):
    tables = {budget: right(share, seeds)[:, ::50] for budget, share in curve.items()}
    sampling = Sampling(np.arange(20), 0.0, 0.95)
    saving = labels_saved(right(strategy, seeds)[:, ::50], tables, headline_budget=10, sampling=sampling)
    assert saving.low is None or saving.low <= saving.ratio
    assert saving.high is None or saving.high >= saving.ratio
    assert saving.censored == (saving.bound != "=")


def compute(strategy: dict[float, float], scratch: dict[float, float], **change):
    return compute_saved(
        {p: right(share) for p, share in strategy.items()},
        {p: right(share) for p, share in scratch.items()},
        **(
            {
                "strategy_compute": 300.0,
                "scratch_compute": 600.0,
                "pretraining_compute": 900.0,
                "sampling": SAMPLING,
            }
            | change
        ),
    )


SCRATCH = {0.25: 0.5, 0.5: 0.7, 1.0: 0.8}


def test_compute_is_read_off_the_first_snapshot_that_reaches_scratch():
    saved_ = compute({0.25: 0.6, 0.5: 0.797, 0.75: 0.803, 1.0: 0.9}, SCRATCH)
    assert saved_.given_w.ratio == pytest.approx(600 / 225)
    assert saved_.given_w.high == pytest.approx(600 / 150)  # 79.7 cannot be told from 80
    assert saved_.given_w.low == pytest.approx(600 / 300)  # only 90 is surely as good
    assert saved_.with_pretraining.ratio == pytest.approx(600 / 1125)
    assert saved_.given_w.bound == "="


def test_scratch_is_not_charged_for_training_on_beyond_its_plateau():
    plateau = {0.25: 0.5, 0.5: 0.8, 1.0: 0.8}
    assert compute({0.5: 0.6, 1.0: 0.9}, plateau).given_w.ratio == pytest.approx(300 / 300)


def test_reached_by_the_first_snapshot_is_a_lower_bound():
    assert compute({0.25: 0.9, 1.0: 0.9}, SCRATCH).given_w == Saving(
        ratio=8, low=8, high=None, censored=True, bound=">="
    )


def test_a_closed_form_has_one_snapshot_and_that_is_its_whole_cost():
    assert compute({1.0: 0.9}, SCRATCH).given_w == Saving(ratio=2, low=2, high=2, censored=False, bound="=")


def test_never_reached_leaves_an_upper_bound():
    assert compute({0.5: 0.6, 1.0: 0.7}, SCRATCH).given_w == Saving(
        ratio=None, low=None, high=2, censored=True, bound="<="
    )


def test_what_needed_no_training_has_no_ratio_given_w():
    saved_ = compute({1.0: 0.9}, SCRATCH, strategy_compute=0.0)
    assert saved_.given_w.ratio is None
    assert saved_.with_pretraining.ratio == pytest.approx(600 / 900)
