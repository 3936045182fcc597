"""Holm against statsmodels, and the rule that gives the word."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from headstart.evaluation.decision import Ruling, decide, holm
from headstart.evaluation.intervals import Interval, two_way


@pytest.mark.parametrize(
    "p_values", [[0.03, 0.5], [0.5, 0.03], [0.01, 0.04, 0.03, 0.005], [0.7, 0.7], [0.02, 0.021, 0.0], [0.04]]
)
def test_holm_is_statsmodels(p_values):
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


def test_holm_over_none():
    assert holm([]) == []


def rule(low, high, *, p_holm, units=800, flips=100):
    interval = Interval((low + high) / 2, low, high, p_holm, 0.01, 20.0, 1e-4, 0.0)
    return decide(interval, p_holm=p_holm, confidence=0.95, margin=0.01, units=units, disagreeing_units=flips)


@pytest.mark.parametrize(
    ("low", "high", "p_holm", "expected"),
    [
        (0.02, 0.06, 0.01, ("helped", None)),
        (-0.06, -0.02, 0.01, ("hurt", None)),
        (0.001, 0.008, 0.02, ("helped", None)),  # small, but settled
        (0.02, 0.06, 0.05, ("helped", None)),  # the level itself counts
        (-0.009, 0.009, 0.9, ("equivalent", None)),
        (0.001, 0.008, 0.06, ("equivalent", None)),  # not beyond Holm, but surely within the margin
        (-0.011, 0.005, 0.5, ("not settled", "wide")),  # its 90% interval would be inside
        (-0.02, 0.06, 0.3, ("not settled", "wide")),
        (0.001, 0.06, 0.06, ("not settled", "corrected")),
        (-0.001, 0.06, 0.04, ("not settled", "wide")),  # McNemar alone never overrules the interval shown
    ],
)
def test_the_word(low, high, p_holm, expected):
    ruling = rule(low, high, p_holm=p_holm)
    assert (ruling.verdict, ruling.reason) == expected


def test_equivalence_is_two_one_sided_tests_at_half_the_level():
    found = []
    for seed in range(60):
        own, other = np.random.default_rng(seed).normal(scale=0.1, size=(2, 500)) + [[0.0], [0.001 * (seed % 6)]]
        interval = two_way((own - other)[None], confidence=0.95)
        p_value = ttost_paired(own, other, -0.02, 0.02)[0]
        assert (interval.low > -0.02 and interval.high < 0.02) == (p_value < 0.025)
        found.append(p_value < 0.025)
    assert 10 < sum(found) < 50  # both answers occur


def test_fewer_than_ten_units_settle_nothing():
    assert rule(0.2, 0.6, p_holm=1e-6, units=9) == Ruling("not settled", "few units", 1e-6)
    assert rule(0.2, 0.6, p_holm=1e-6, units=10).verdict == "helped"


def test_equivalence_needs_ten_flips():
    assert rule(-0.005, 0.005, p_holm=1.0, flips=9) == Ruling("not settled", "few flips", 1.0)
    assert rule(-0.005, 0.005, p_holm=1.0, flips=10).verdict == "equivalent"


@given(st.floats(-0.1, 0.1), st.floats(0, 0.2), st.floats(0, 1), st.integers(2, 50), st.integers(0, 50))
def test_swapping_the_entrants_swaps_the_word(low, width, p_holm, units, flips):
    swap = {"helped": "hurt", "hurt": "helped"}
    one = rule(low, low + width, p_holm=p_holm, units=units, flips=flips)
    back = rule(-low - width, -low, p_holm=p_holm, units=units, flips=flips)
    assert back == replace(one, verdict=swap.get(one.verdict, one.verdict))


@given(st.floats(-0.1, 0.1), st.floats(0, 0.2), st.floats(0, 1))
def test_no_word_contradicts_the_interval_shown(low, width, p_holm):
    verdict = rule(low, low + width, p_holm=p_holm).verdict
    assert verdict != "helped" or low > 0
    assert verdict != "hurt" or low + width < 0
    assert verdict != "equivalent" or -0.01 < low <= low + width < 0.01
