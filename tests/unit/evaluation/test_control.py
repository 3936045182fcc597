"""Whether training from scratch is still improving, and the tell-tale of its label curve."""

import numpy as np
import pytest
from scipy import stats

from headstart.evaluation.contrasts import contrast
from headstart.evaluation.control import check_control, curve_warning, overtrained_warning


def doubling(gain_rows: int, lost_rows: int, rows: int = 400, seeds: int = 3):
    """Full steps right on gain_rows that half steps get wrong, and the other way round; the same for each seed."""
    full, half = np.ones((seeds, rows)), np.ones((seeds, rows))
    half[:, :gain_rows] = 0
    full[:, gain_rows : gain_rows + lost_rows] = 0
    return contrast(full, half, units=np.arange(rows), overlap=0.0, confidence=0.95)


def test_a_sure_gain_above_the_margin_still_improves():
    check = check_control(doubling(30, 4), margin=0.01)
    assert check.gain == pytest.approx(26 / 400)
    assert check.still_improves


def test_a_sure_gain_below_the_margin_is_a_plateau():
    check = check_control(doubling(3, 0), margin=0.01)
    assert check.gain == pytest.approx(0.0075)
    assert not check.still_improves


def test_an_unsure_gain_above_the_margin_is_a_plateau():
    check = check_control(doubling(30, 25), margin=0.01)
    assert check.gain == pytest.approx(0.0125)
    assert check.p_value > 0.1
    assert not check.still_improves


def test_the_test_is_one_sided_at_ten_per_cent():
    measured = doubling(20, 12)
    check = check_control(measured, margin=0.01)
    t = measured.interval.estimate / measured.interval.standard_error
    assert check.p_value == pytest.approx(stats.t.sf(t, measured.interval.df))
    assert 0.05 < check.p_value < 0.1
    assert check.still_improves


def test_a_control_that_gets_worse_is_no_reason_to_withhold():
    assert not check_control(doubling(0, 30), margin=0.01).still_improves


def test_but_it_is_said_and_only_where_it_is_sure_and_above_the_margin():
    assert overtrained_warning(check_control(doubling(0, 30), margin=0.01), margin=0.01) == (
        "training from scratch gets worse with its steps doubled (-7.5 points), so transfer is compared with less than"
        " scratch can do: lower strategies.scratch.steps"
    )
    for gained, lost in ((0, 3), (25, 30), (30, 0)):
        assert overtrained_warning(check_control(doubling(gained, lost), margin=0.01), margin=0.01) is None


def test_a_curve_that_falls():
    assert curve_warning({5: 0.80, 10: 0.91, 20: 0.88}, margin=0.01) == (
        "training from scratch falls from 91.0% at 10 labels a class to 88.0% at 20;"
        " it is probably undertrained: raise strategies.scratch.steps"
    )


def test_a_curve_that_is_flat():
    assert curve_warning({20: 0.858, 5: 0.85, 10: 0.855}, margin=0.01) == (
        "training from scratch stays flat, 85.0% at 5 labels a class and 85.8% at 20;"
        " it is probably undertrained: raise strategies.scratch.steps"
    )


@pytest.mark.parametrize(
    "curve",
    [
        {5: 0.80, 10: 0.91, 20: 0.95},
        {5: 0.80, 10: 0.91, 20: 0.905},  # within the margin, after a rise
        {5: 0.96, 10: 0.962, 20: 0.963},  # flat under the ceiling
        {10: 0.5},
    ],
)
def test_curves_that_are_as_they_should_be(curve):
    assert curve_warning(curve, margin=0.01) is None
