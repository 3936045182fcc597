"""The half-width to expect before training."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from headstart.evaluation.intervals import Sampling, paired_interval
from headstart.evaluation.resolution import planned_resolution, resolution
from headstart.evaluation.settings import EvaluationSettings


@pytest.mark.parametrize(("rows", "half_width"), [(1000, 0.020), (200, 0.044)])
def test_one_seed_gives_the_known_half_widths(rows, half_width):
    # 10% disagreement: 2.0 points at 1,000 rows and 4.4 at 200
    assert resolution(units=rows, seeds=1).half_width == pytest.approx(half_width, abs=5e-4)


def test_by_hand():
    rows, seeds = 0.1 / 800, 0.02**2 / 5
    df = (rows + seeds) ** 2 / (rows**2 / 799 + seeds**2 / 4)
    expected = stats.t.ppf(0.975, df) * np.sqrt(rows + seeds)
    assert resolution(units=800, seeds=5).half_width == pytest.approx(expected)
    assert expected == pytest.approx(0.0294, abs=5e-5)


def test_it_is_what_the_interval_comes_to_when_the_assumptions_hold():
    rng = np.random.default_rng(0)
    flips = rng.choice([-1.0, 0.0, 1.0], p=[0.05, 0.9, 0.05], size=(1, 4000))
    found = paired_interval(flips, Sampling(np.arange(4000), 0.0, 0.95))
    planned = resolution(units=4000, seeds=1, disagreement=0.1)
    assert (found.high - found.low) / 2 == pytest.approx(planned.half_width, rel=0.05)


@given(st.integers(10, 2000), st.integers(2, 10), st.floats(0.01, 0.5), st.floats(0.0, 0.1), st.floats(0.0, 0.8))
def test_more_seeds_and_less_overlap_narrow_it(units, seeds, disagreement, seed_sd, overlap):
    # not so of rows: with less doubt from rows Satterthwaite leans on the few seeds, and its df falls
    plan = {"units": units, "seeds": seeds, "disagreement": disagreement, "seed_sd": seed_sd, "overlap": overlap}
    planned = resolution(**plan).half_width
    assert resolution(**plan | {"seeds": seeds + 1}).half_width <= planned * (1 + 1e-9)
    assert resolution(**plan | {"overlap": overlap + 0.1}).half_width >= planned * (1 - 1e-9)


def test_the_settings_plan_with_their_own_assumptions():
    assert planned_resolution(EvaluationSettings(), units=800, seeds=5) == resolution(units=800, seeds=5)
    settings = EvaluationSettings(expected_disagreement=0.2, expected_seed_sd=0.05, confidence=0.9)
    assert planned_resolution(settings, units=100, seeds=3) == resolution(
        units=100, seeds=3, disagreement=0.2, seed_sd=0.05, confidence=0.9
    )


def test_too_little_to_plan_with():
    with pytest.raises(ValueError, match="at least 2 test units and 1 seed, not 1 units and 5 seeds"):
        resolution(units=1, seeds=5)
    with pytest.raises(ValueError, match="not 800 units and 0 seeds"):
        resolution(units=800, seeds=0)
