"""Calibration: intervals that hold what they promise, and temperatures that undo a known miscalibration."""

import numpy as np
import pytest
import torch
from scipy.stats import binom

from headstart.datasets.values import Value
from headstart.objectives.calibration import Calibration, half_width
from headstart.objectives.classification import Classification
from headstart.objectives.kinds import FEWEST_TO_CALIBRATE as FEWEST
from headstart.objectives.regression import Regression

CLASSES = Classification(("a", "b", "c"))
LENGTHS = Regression((Value("length", "metres", 10.0, 2.0),))


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("heavy", [False, True])
def test_a_new_row_lies_within_as_often_as_promised_and_hardly_more(level, heavy):
    """Of exchangeable errors, of whatever distribution: at least the level, at most 1 / (n + 1) above it."""
    rng, trials, rows = np.random.default_rng(5), 4_000, 29
    drawn = rng.standard_t(2, (trials, rows + 1)) if heavy else rng.uniform(-1, 1, (trials, rows + 1))
    widths = [half_width(torch.from_numpy(errors[:-1]), level=level) for errors in drawn]
    held = sum(abs(errors[-1]) <= width for errors, width in zip(drawn, widths, strict=True))
    assert binom.ppf(1e-4, trials, level) <= held <= binom.ppf(1 - 1e-4, trials, level + 1 / (rows + 1))


def test_it_is_the_order_statistic_of_the_paper():
    errors = torch.tensor([-3.0, 1.0, 2.0, -5.0, 4.0, 6.0, 7.0, 8.0, 9.0])
    assert half_width(errors, level=0.9) == 9.0  # ceil(10 * .9) = the 9th
    assert half_width(errors, level=0.5) == 5.0
    assert half_width(torch.arange(29), level=0.9) == 26.0  # 30 * .9 is a little above 27 in binary


@pytest.mark.parametrize(("level", "fewest"), [(0.5, 1), (0.9, 9), (0.95, 19)])
def test_too_few_rows_have_no_finite_interval(level, fewest):
    assert half_width(torch.ones(fewest - 1), level=level) is None
    assert half_width(torch.ones(fewest), level=level) == 1.0


@pytest.mark.parametrize("wrong", [0.25, 0.5, 2.0, 4.0])
def test_a_known_miscalibration_is_undone(wrong):
    """Labels are drawn from softmax(scores); what is given are scores times `wrong`, as an overconfident model has."""
    draw = torch.Generator().manual_seed(3)
    scores = torch.randn(4_000, 3, generator=draw).double() * 2
    labels = torch.multinomial(scores.softmax(1), 1, generator=draw)[:, 0]
    given = CLASSES.predict(scores * wrong)
    found = CLASSES.calibration(given, labels, level=0.9)
    assert abs(np.log2(found.temperature / wrong)) <= 0.25  # temperatures are four an octave
    assert (found.rows, found.half_widths) == (4_000, ())
    calibrated = CLASSES.calibrated(found)
    assert calibrated.held_out_loss(calibrated.tempered(given), labels) < CLASSES.held_out_loss(given, labels)
    assert torch.equal(calibrated.tempered(given).argmax(1), given.argmax(1))
    assert torch.allclose(calibrated.predict(scores * wrong), calibrated.tempered(given))


def test_rows_that_are_all_right_do_not_unsettle_a_model_that_is_nearly_as_sure():
    given = torch.tensor([[0.96, 0.03, 0.01]]).repeat(20, 1)
    assert CLASSES.calibration(given, torch.zeros(20, dtype=torch.int64), level=0.9).temperature == 1.0


def test_a_model_that_is_sure_and_often_wrong_is_made_less_sure_by_few_rows():
    given = torch.tensor([[0.998, 0.001, 0.001]]).repeat(20, 1)
    labels = torch.tensor([0] * 14 + [1] * 6)
    assert CLASSES.calibration(given, labels, level=0.9).temperature > 2


def test_few_rows_leave_the_probabilities_as_they_are():
    given = torch.full((FEWEST - 1, 3), 1 / 3)
    assert CLASSES.calibration(given, torch.zeros(FEWEST - 1, dtype=torch.int64), level=0.9) == Calibration()
    assert CLASSES.calibrated(Calibration()).tempered(given) is given


def test_values_get_their_interval_in_the_unit_and_stay_what_they_are():
    draw = torch.Generator().manual_seed(1)
    predictions, errors = torch.randn(20, 1, generator=draw) * 2 + 10, torch.randn(20, 1, generator=draw)
    found = LENGTHS.calibration(predictions, predictions + errors, level=0.8)
    assert found.half_widths[0] == pytest.approx(
        float(errors[:, 0].abs().sort().values[16]), rel=1e-5
    )  # ceil(21 * .8) = 17
    sure = LENGTHS.calibrated(found)
    table = sure.frame(sure.tempered(predictions))
    assert table.columns.tolist() == ["prediction", "low", "high"]
    assert np.allclose(table["high"] - table["prediction"], found.half_widths[0], atol=1e-5)
    assert np.allclose(table["prediction"] - table["low"], found.half_widths[0], atol=1e-5)
    assert (table["prediction"].to_numpy() == predictions[:, 0].numpy()).all()


def test_values_without_one_have_no_columns_for_it():
    found = LENGTHS.calibration(torch.zeros(8, 1), torch.ones(8, 1), level=0.9)
    assert found == Calibration()
    assert LENGTHS.calibrated(found).frame(torch.zeros(8, 1)).columns.tolist() == ["prediction"]
    assert LENGTHS.columns(torch.zeros(8, 1))["low"].tolist() == pytest.approx([np.nan] * 8, nan_ok=True)
