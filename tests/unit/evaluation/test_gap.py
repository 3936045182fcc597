"""The train-test gap."""

import numpy as np
import pytest
from scipy import stats

from headstart.evaluation.gap import gap
from headstart.evaluation.intervals import Sampling, paired_interval

SAMPLING = Sampling(units=np.arange(100), overlap=0.0, confidence=0.95)


def test_gap_of_the_strategy_minus_gap_of_its_opponent():
    found = gap(
        entrant=np.tile(np.arange(100) < 90, (3, 1)).astype(float),
        opponent=np.tile(np.arange(100) < 70, (3, 1)).astype(float),
        entrant_train=np.full(3, 0.95),
        opponent_train=np.full(3, 1.0),
        sampling=SAMPLING,
    )
    assert (found.strategy, found.opponent) == pytest.approx((0.05, 0.3))
    assert found.difference == pytest.approx(-0.25)
    assert found.low < -0.25 < found.high < 0


def test_where_test_rows_say_nothing_it_is_the_t_test_over_seeds():
    rng = np.random.default_rng(0)
    own, other = 0.8 + 0.1 * rng.random(5), 0.9 + 0.1 * rng.random(5)
    same = np.ones((5, 100_000))
    found = gap(
        entrant=same,
        opponent=same,
        entrant_train=own,
        opponent_train=other,
        sampling=Sampling(np.arange(100_000), 0.0, 0.95),
    )
    expected = stats.ttest_rel(own, other).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-3)


def test_one_seed_leaves_the_doubt_of_the_test_rows():
    found = gap(
        entrant=np.ones((1, 100)),
        opponent=np.ones((1, 100)),
        entrant_train=np.ones(1),
        opponent_train=np.ones(1),
        sampling=SAMPLING,
    )
    assert found.difference == 0
    assert found.high == pytest.approx(stats.t.ppf(0.975, 99) / 102)


def test_a_missing_training_score_leaves_no_gap():
    missing = gap(
        entrant=np.ones((2, 100)),
        opponent=np.ones((2, 100)),
        entrant_train=np.array([np.nan, 1.0]),
        opponent_train=np.ones(2),
        sampling=SAMPLING,
    )
    assert missing is None


def test_where_everyone_is_perfect_in_training_it_is_the_difference_in_tests_turned_round():
    rng = np.random.default_rng(0)
    own, other = rng.integers(0, 2, size=(2, 4, 100)).astype(float)
    found = gap(entrant=own, opponent=other, entrant_train=np.ones(4), opponent_train=np.ones(4), sampling=SAMPLING)
    expected = paired_interval(other - own, SAMPLING)
    assert (found.difference, found.low, found.high) == pytest.approx((expected.estimate, expected.low, expected.high))
