"""The two-way interval, against scipy and statsmodels and by its properties."""

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.anova import anova_lm

from headstart.evaluation.intervals import (
    Parts,
    Sampling,
    combine,
    paired_interval,
    two_way,
    unit_scores,
    variance_parts,
)


def scores(seed: int, seeds: int = 4, units: int = 30, seed_effect: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=units)
    shifts = seed_effect * rng.normal(size=(seeds, 1))
    return 0.3 + rows + shifts + rng.normal(size=(seeds, units))


def long_form(table: np.ndarray) -> pd.DataFrame:
    seeds, units = table.shape
    seed, unit = np.divmod(np.arange(table.size), units)
    return pd.DataFrame({"y": table.ravel(), "seed": seed, "unit": unit})


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_parts_are_the_mean_squares_of_a_two_way_analysis_of_variance(seed):
    table = scores(seed)
    anova = anova_lm(smf.ols("y ~ C(unit) + C(seed)", long_form(table)).fit())
    squares = anova["sum_sq"] / anova["df"] / table.size
    parts = variance_parts(table)
    assert parts.rows == pytest.approx(squares["C(unit)"])
    assert parts.seeds == pytest.approx(squares["C(seed)"])
    assert parts.residual == pytest.approx(squares["Residual"])


def test_standard_error_is_that_of_a_mixed_model_with_crossed_effects():
    table = scores(3, seeds=6, units=25)
    data = long_form(table).assign(all=1)
    model = smf.mixedlm(
        "y ~ 1", data, groups="all", re_formula="0", vc_formula={"unit": "0 + C(unit)", "seed": "0 + C(seed)"}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = model.fit(reml=True)
    interval = two_way(table, confidence=0.95)
    assert interval.estimate == pytest.approx(fitted.fe_params.iloc[0])
    assert interval.standard_error == pytest.approx(fitted.bse_fe.iloc[0], rel=1e-3)


def test_one_seed_is_the_paired_t_test_over_rows():
    rng = np.random.default_rng(0)
    own, other = rng.integers(0, 2, size=(2, 60)).astype(float)
    interval = two_way((own - other)[None], confidence=0.9)
    expected = stats.ttest_rel(own, other)
    low, high = expected.confidence_interval(0.9)
    assert interval.p_value == pytest.approx(expected.pvalue)
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert (interval.df, interval.seed_part) == (59, 0)


def test_rows_that_all_behave_alike_leave_the_paired_t_test_over_seeds():
    own, other = np.array([0.9, 0.8, 0.85, 0.95]), np.array([0.7, 0.75, 0.6, 0.8])
    interval = two_way(np.tile((own - other)[:, None], 200), confidence=0.95)
    expected = stats.ttest_rel(own, other)
    assert interval.p_value == pytest.approx(expected.pvalue)
    assert (interval.low, interval.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert interval.df == pytest.approx(3)


def test_seeds_that_all_behave_alike_leave_the_paired_t_test_over_rows():
    row = np.random.default_rng(1).integers(-1, 2, size=50).astype(float)
    interval = two_way(np.tile(row, (5, 1)), confidence=0.95)
    assert interval.p_value == pytest.approx(stats.ttest_1samp(row, 0).pvalue)


@pytest.mark.parametrize("seeds", [1, 4])
def test_groups_of_unequal_size_give_the_row_mean_and_the_cluster_robust_row_part(seeds):
    rng = np.random.default_rng(2)
    units = np.repeat(np.arange(15), rng.integers(1, 9, size=15))
    differences = rng.integers(-1, 2, size=(seeds, len(units))).astype(float)
    parts = variance_parts(unit_scores(differences, units))
    by_row = differences.mean(axis=0)
    robust = OLS(by_row, np.ones(len(by_row))).fit(cov_type="cluster", cov_kwds={"groups": units})
    # statsmodels multiplies by (rows - 1) / (rows - parameters), which is 1 here
    assert unit_scores(differences, units).mean() == pytest.approx(by_row.mean())
    assert unit_scores(differences, units).mean(axis=1) == pytest.approx(differences.mean(axis=1))
    assert parts.rows == pytest.approx(robust.bse[0] ** 2)


def test_degrees_of_freedom_are_satterthwaites():
    parts = Parts(rows=2e-4, seeds=5e-4, residual=1e-4)
    interval = combine(0.0, parts, seeds=5, units=101, overlap=0.0, confidence=0.95)
    by_hand = (2e-4 + 5e-4 - 1e-4) ** 2 / ((2e-4) ** 2 / 100 + (5e-4) ** 2 / 4 + (1e-4) ** 2 / 400)
    assert interval.df == pytest.approx(by_hand)
    assert interval.standard_error == pytest.approx(np.sqrt(6e-4))
    assert interval.high == pytest.approx(stats.t.ppf(0.975, by_hand) * np.sqrt(6e-4))


def test_overlap_multiplies_the_seed_part():
    parts = Parts(rows=2e-4, seeds=5e-4, residual=1e-4)
    interval = combine(0.0, parts, seeds=5, units=101, overlap=0.25, confidence=0.95)
    assert interval.row_part == 2e-4
    assert interval.seed_part == pytest.approx(4e-4 * (1 + 5 * 0.25 / 0.75))


def test_a_seed_part_below_the_residual_leaves_the_row_part():
    interval = combine(
        0.01, Parts(rows=2e-4, seeds=1e-5, residual=1e-4), seeds=5, units=100, overlap=0.5, confidence=0.95
    )
    assert interval.standard_error == pytest.approx(np.sqrt(2e-4))


def test_two_seeds_get_one_degree_of_freedom():
    assert two_way(scores(0, seeds=2), confidence=0.95).df == 1


def test_no_disagreement_leaves_one_flip_of_doubt():
    interval = paired_interval(np.zeros((1, 98)), Sampling(np.arange(98), 0.0, 0.95))
    assert interval.standard_error == pytest.approx(1 / 100)
    assert interval.high == pytest.approx(stats.t.ppf(0.975, 97) / 100)
    assert interval.p_value == 1.0


def test_few_flips_are_as_wide_as_agresti_and_min():
    wins, losses, rows = 4, 1, 300
    differences = np.zeros((1, rows))
    differences[0, :wins], differences[0, wins : wins + losses] = 1, -1
    interval = paired_interval(differences, Sampling(np.arange(rows), 0.0, 0.95))
    b, c, n = wins + 0.5, losses + 0.5, rows + 2
    assert interval.standard_error == pytest.approx(np.sqrt((b + c) - (b - c) ** 2 / n) / n, rel=0.01)


def test_one_sided_p_value():
    table = scores(4)
    interval = two_way(table, confidence=0.95)
    assert interval.p_greater() == pytest.approx(stats.t.sf(interval.estimate / interval.standard_error, interval.df))
    assert two_way(-table, confidence=0.95).p_greater() == pytest.approx(1 - interval.p_greater())


def test_a_table_without_any_variance_has_a_sure_answer():
    assert two_way(np.ones((3, 20)), confidence=0.95).p_value == 0.0
    assert two_way(np.zeros((3, 20)), confidence=0.95).p_value == 1.0


@st.composite
def comparisons(draw):
    """Any two entrants, groups and overlap."""
    seeds, rows = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    zero_or_one = arrays(float, (seeds, rows), elements=st.sampled_from([0.0, 1.0]))
    codes = np.unique(draw(arrays(int, rows, elements=st.integers(0, 11))), return_inverse=True)[1]
    return draw(zero_or_one), draw(zero_or_one), Sampling(codes, draw(st.floats(0, 1)), 0.95)


@given(comparisons())
def test_any_table_gives_finite_bounds_around_the_estimate(comparison):
    own, other, sampling = comparison
    interval = paired_interval(own - other, sampling)
    figures = [interval.low, interval.estimate, interval.high, interval.standard_error, interval.df, interval.p_value]
    assert np.isfinite(figures).all()
    assert -1 <= interval.low <= interval.estimate <= interval.high <= 1
    assert interval.low < interval.high
    assert 0 <= interval.p_value <= 1
    assert interval.estimate == pytest.approx((own - other).mean())


@given(comparisons())
def test_the_p_value_and_the_interval_agree(comparison):
    own, other, sampling = comparison
    interval = paired_interval(own - other, sampling)
    excludes_zero = interval.low > 0 or interval.high < 0
    assert excludes_zero == (interval.p_value < 0.05)


@given(comparisons())
def test_swapping_the_entrants_turns_the_interval_round(comparison):
    own, other, sampling = comparison
    one, back = paired_interval(own - other, sampling), paired_interval(other - own, sampling)
    assert (one.estimate, one.low, one.high) == pytest.approx((-back.estimate, -back.high, -back.low))
    assert one.p_value == pytest.approx(back.p_value)


@given(comparisons(), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_seeds_does_not_matter(comparison, random):
    own, other, sampling = comparison
    rows, seeds = list(range(own.shape[1])), list(range(own.shape[0]))
    random.shuffle(rows)
    random.shuffle(seeds)
    differences = own - other
    mixed = Sampling(sampling.units[rows], sampling.overlap, 0.95)
    one, other_order = paired_interval(differences, sampling), paired_interval(differences[seeds][:, rows], mixed)
    assert (one.low, one.high, one.p_value) == pytest.approx((other_order.low, other_order.high, other_order.p_value))


@given(st.floats(1e-6, 0.01), st.floats(0, 0.01), st.integers(3, 8), st.integers(20, 500), st.floats(0, 0.8))
def test_more_overlap_never_narrows(rows, seeds_part, seeds, units, overlap):
    parts = Parts(rows=rows, seeds=seeds_part, residual=0.0)
    less = combine(0.0, parts, seeds=seeds, units=units, overlap=overlap, confidence=0.95)
    more = combine(0.0, parts, seeds=seeds, units=units, overlap=overlap + 0.1, confidence=0.95)
    assert more.high >= less.high * (1 - 1e-9)
