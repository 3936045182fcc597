"""What evaluation says of calibration: errors, coverage with its interval, and nothing where nobody calibrated."""

import numpy as np
import pytest
from evaluation_simulator import run_frames
from statsmodels.stats.proportion import proportion_confint
from test_evaluation_of_values import run as run_of_values

from headstart.evaluation.calibration import (
    calibration_error,
    coverage,
    covered,
    fewest,
    uncalibrated,
    wilson,
)
from headstart.evaluation.evaluate import evaluate
from headstart.evaluation.sentences import lines
from headstart.evaluation.settings import EvaluationSettings

WIDTH = 16.0


def with_ends(frames: dict, half: float = WIDTH / 2) -> dict:
    table = frames["predictions"]
    ends = {"low": table["prediction"] - half, "high": table["prediction"] + half}
    return frames | {"predictions": table.assign(temperature=1.0, **ends)}


def test_sure_and_right_as_often_is_no_error():
    truth = np.array([0] * 8 + [1] * 2)
    assert calibration_error(truth, np.tile([0.8, 0.2], (10, 1))) == pytest.approx(0)
    assert calibration_error(truth, np.tile([0.99, 0.01], (10, 1))) == pytest.approx(0.19)
    assert calibration_error(np.array([0, 1]), np.array([[1.0, 0.0], [1.0, 0.0]])) == pytest.approx(0.5)


def test_bins_are_weighed_by_their_rows():
    probabilities = np.array([[0.6, 0.4]] * 3 + [[0.9, 0.1]])
    assert calibration_error(np.array([0, 0, 0, 1]), probabilities) == pytest.approx((3 * 0.4 + 0.9) / 4)


def test_the_probabilities_before_come_back():
    scores = np.random.default_rng(0).normal(size=(50, 4)) * 3
    softmax = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    cooled = np.exp(scores / 2.5) / np.exp(scores / 2.5).sum(1, keepdims=True)
    assert np.allclose(uncalibrated(cooled, np.full(50, 2.5)), softmax)


def test_wilsons_interval_is_that_of_the_literature():
    for right, trials in ((0, 10), (9, 10), (180, 200), (200, 200)):
        low, high = proportion_confint(right, trials, alpha=0.05, method="wilson")
        found = wilson(right / trials, trials, confidence=0.95)
        assert (found.low, found.high) == pytest.approx((low, high))


def test_rows_of_a_group_are_one_trial():
    held, alone, grouped = np.tile([1.0, 1.0, 0.0], 20), np.arange(60), np.repeat(np.arange(20), 3)
    assert coverage(held, alone, confidence=0.95).low > coverage(held, grouped, confidence=0.95).low
    assert covered(np.array([1.0, 2.0]), np.array([1.0, 2.5]), np.array([3.0, 3.0])).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(("level", "rows"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_how_many_rows_an_interval_takes(level, rows):
    assert fewest(level) == rows


def test_coverage_of_values_is_in_verdict_table_and_words():
    frames = with_ends(run_of_values())
    found = evaluate(**frames)
    table = found.comparison[(found.comparison["label_budget"] == 10) & (found.comparison["strategy"] == "full")]
    means = table.groupby("metric")["value"].mean()
    sure = found.verdict.intervals
    assert sure.coverage == pytest.approx(means["coverage"])
    assert sure.low < sure.coverage < sure.high
    assert sure.lowest <= sure.coverage <= sure.highest
    assert (sure.width, means["interval_width"]) == (pytest.approx(WIDTH), pytest.approx(WIDTH))
    errors = (found.predictions["truth"] - found.predictions["prediction"]).abs()
    own = (found.predictions["strategy"] == "full") & (found.predictions["label_budget"] == 10)
    assert sure.coverage == pytest.approx((errors[own] <= WIDTH / 2).mean())
    assert sure.sentence in lines(found.verdict, frames["measure"])
    assert sure.sentence.startswith("intervals of 90%, 16.0 degrees wide, hold ")
    assert np.allclose(found.predictions["high"] - found.predictions["low"], WIDTH)
    assert "probabilities" not in found.verdict.model_dump()


def test_where_too_few_rows_were_held_out_it_says_so():
    frames = run_of_values()
    frames["predictions"] = frames["predictions"].assign(temperature=1.0, low=np.nan, high=np.nan)
    frames["cells"] = frames["cells"].assign(held_out=2)
    found = evaluate(**frames)
    assert found.verdict.intervals.coverage is None
    assert "2 held-out rows are too few for 90%, which takes 9" in found.verdict.intervals.sentence
    assert "coverage" not in set(found.comparison["metric"])


def test_calibration_of_classes_is_in_verdict_table_and_words():
    rng = np.random.default_rng(0)
    entrants = [
        ("scratch", "", 10, 1.0), ("scratch", "half_steps", 10, 1.0), ("source", "", 10, 1.0), ("full", "", 10, 1.0),
    ]  # fmt: skip
    frames = run_frames({key: (rng.random((3, 200)) < 0.8).astype(float) for key in entrants})
    asked = {"chosen": "full", "headline_budget": 10, "settings": EvaluationSettings(), "opened": 1}
    assert evaluate(**frames, **asked).verdict.probabilities is None
    frames["predictions"] = frames["predictions"].assign(temperature=2.0)
    found = evaluate(**frames, **asked)
    sure = found.verdict.probabilities
    means = found.comparison[found.comparison["strategy"] == "full"].groupby("metric")["value"].mean()
    assert (sure.error, sure.error_before) == (
        pytest.approx(means["calibration_error"]),
        pytest.approx(means["calibration_error_before"]),
    )
    assert sure.error != sure.error_before
    assert sure.log_loss == pytest.approx(means["log_loss"])
    assert (sure.temperature, sure.seeds) == (2.0, 3)
    assert sure.sentence in lines(found.verdict)
    assert "intervals" not in found.verdict.model_dump()
    frames["predictions"] = frames["predictions"].assign(temperature=1.0)
    frames["cells"] = frames["cells"].assign(held_out=3)
    plain = evaluate(**frames, **asked).verdict.probabilities.sentence
    assert "as the scores come: 3 held-out rows are too few for a temperature, which takes 10" in plain
