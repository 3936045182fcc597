"""Several values: one error a row in standard deviations, and each value in its own unit beside it."""

import json

import numpy as np
import pandas as pd
import pytest
from evaluation_simulator import run_frames
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error

from headstart.datasets.values import Value
from headstart.errors import DataError
from headstart.evaluation.evaluate import Evaluation, evaluate
from headstart.evaluation.measures import measure_of_values
from headstart.evaluation.promotion import compare, rows_digest, scored_columns
from headstart.evaluation.sentences import lines
from headstart.evaluation.settings import EvaluationSettings

VALUES = (Value("x", "pixels", 0.0, 2.0), Value("angle", "degrees", 0.0, 30.0))
POSE = measure_of_values(VALUES)
SPREADS = {("scratch", "", 10, 1.0): 0.8, ("source", "", 10, 1.0): 0.7, ("full", "", 10, 1.0): 0.3}
ROWS = 120


def run(seeds: int = 4) -> dict:
    draw = np.random.default_rng(5)
    found = run_frames({key: np.ones((seeds, ROWS)) for key in SPREADS})
    truth = found["truth"].drop(columns="label")
    for own in VALUES:
        truth[f"value.{own.name}"] = draw.normal(0, own.std, ROWS)
    known, table = truth.set_index("id"), found["predictions"].drop(columns=["prediction", "probabilities"])
    spread = table["strategy"].map({name: sd for (name, *_), sd in SPREADS.items()}).to_numpy()
    for own in VALUES:
        true = known.loc[table["id"], f"value.{own.name}"].to_numpy()
        table[own.name] = true + draw.normal(size=len(table)) * spread * own.std
        width = 1.645 * spread * own.std
        table[f"{own.name}_low"], table[f"{own.name}_high"] = table[own.name] - width, table[own.name] + width
    return found | {
        "truth": truth,
        "predictions": table,
        "cells": found["cells"].assign(held_out=40.0, train_score=-0.2, validation_score=-0.5),
        "classes": (),
        "measure": POSE,
        "chosen": "full",
        "headline_budget": 10,
        "settings": EvaluationSettings(),
        "opened": 1,
    }


@pytest.fixture(scope="module")
def found() -> Evaluation:
    return evaluate(**run())


def test_the_document_has_the_scaled_error_and_each_value_in_its_unit(found):
    document = json.loads(json.dumps(found.verdict.model_dump(mode="json"), allow_nan=False))
    assert (document["metric"], document["unit"], document["margin"]) == ("scaled_mae", "s.d.", 0.05)
    assert document["against_scratch"]["verdict"] == "helped"
    assert "rmse" not in document
    means = found.comparison.query("split == 'test'").groupby(["strategy", "metric"])["value"].mean()
    gain = means["scratch", "scaled_mae"] - means["full", "scaled_mae"]
    assert document["against_scratch"]["difference"] == pytest.approx(gain)
    assert [own["unit"] for own in document["values"]] == ["pixels", "degrees"]
    for own in document["values"]:
        assert own["mae"] == pytest.approx(means["full", f"mae.{own['name']}"])
        assert own["scratch_mae"] - own["mae"] == pytest.approx(own["against_scratch"]["difference"])
        assert own["against_scratch"]["low"] > 0
        assert own["intervals"]["low"] < own["intervals"]["coverage"] < own["intervals"]["high"]
    both = np.mean([own["mae"] / value.std for own, value in zip(document["values"], VALUES, strict=True)])
    assert both == pytest.approx(means["full", "scaled_mae"])


def test_coverage_is_of_each_value_and_of_all_at_once(found):
    each = [own.intervals.coverage for own in found.verdict.values]
    assert each == pytest.approx([0.9, 0.9], abs=0.04)
    assert found.verdict.intervals.coverage == pytest.approx(0.81, abs=0.05)
    assert found.verdict.intervals.coverage < min(each)
    assert "of each value by itself; all 2 values of a row lie in theirs at once in" in found.verdict.intervals.sentence
    assert {"coverage.x", "joint_coverage", "interval_width.angle"} <= set(found.comparison["metric"])


def test_its_words(found):
    said = "\n".join(lines(found.verdict, POSE))
    assert "full's scaled MAE is" in said
    assert "s.d. lower than training from scratch's" in said
    assert "x, exploratory: full's MAE is" in said
    assert " degrees (gain +" in said


def test_the_tables(found):
    assert list(found.predictions)[4:] == [
        *("x_truth", "x", "x_low", "x_high"),
        *("angle_truth", "angle", "angle_low", "angle_high"),
    ]
    own = found.predictions.query("strategy == 'full' and seed == 1")
    table = found.comparison.query("strategy == 'full' and seed == 1 and metric == 'mae.angle'")
    assert table["value"].item() == pytest.approx(mean_absolute_error(own["angle_truth"], own["angle"]))
    assert list(found.snapshots)[-1] == "scaled_mae"


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.integers(0, 2**16))
def test_no_unit_weighs_on_a_rows_score(first, second, seed):
    draw, each = np.random.default_rng(seed), np.array([first, second])
    truth, said = draw.normal(size=(2, 30, 2))
    other = measure_of_values([Value(v.name, "", 0, v.std * e) for v, e in zip(VALUES, each, strict=True)])
    assert other.row_scores(truth * each, said * each) == pytest.approx(POSE.row_scores(truth, said))


@given(st.floats(0.01, 100), st.integers(0, 2**16))
def test_values_that_are_one_are_scored_as_it_is(std, seed):
    """The same value twice is its error over its s.d."""
    truth, said = np.random.default_rng(seed).normal(size=(2, 30))
    twice = measure_of_values([Value("a", "m", 0, std), Value("b", "m", 0, std)])
    alone = measure_of_values([Value("a", "m", 0, std)])
    expected = alone.row_scores(truth, said) / std
    assert twice.row_scores(np.stack([truth, truth], 1), np.stack([said, said], 1)) == pytest.approx(expected)


def test_a_value_that_is_no_number_is_named():
    given = run()
    given["predictions"].loc[3, "angle"] = np.inf
    with pytest.raises(DataError, match="predictions, angle, has the value 'inf', which is no finite number"):
        evaluate(**given)


def test_two_models_are_compared_on_them():
    given, draw = run(seeds=1), np.random.default_rng(0)
    truth = given["truth"].rename(columns={"value.x": "x_truth", "value.angle": "angle_truth"})

    def model(sd: float) -> pd.DataFrame:
        said = {own.name: truth[f"{own.name}_truth"] + draw.normal(0, sd * own.std, ROWS) for own in VALUES}
        return truth.assign(seed=0, **said)[scored_columns(POSE)]

    better, worse = model(0.2), model(0.8)
    assert compare(better, worse, measure=POSE, settings=EvaluationSettings()).is_better
    assert rows_digest(better, POSE) == rows_digest(worse, POSE)
    assert rows_digest(better, POSE) != rows_digest(better.assign(x_truth=0.0), POSE)
