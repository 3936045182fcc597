"""What is refused at the door, each with its message; and the tables."""

import json

import numpy as np
import pandas as pd
import pytest
from evaluation_simulator import FAMILIES, run_frames
from sklearn import metrics as reference

from headstart.errors import DataError
from headstart.evaluation.comparison import comparison_table, predictions_table, snapshots_table
from headstart.evaluation.outcomes import Outcomes

ROWS = 12


def frames() -> dict:
    rng = np.random.default_rng(0)
    table = {
        (strategy, variant, 10, progress): rng.integers(0, 2, size=(2, ROWS)).astype(float)
        for strategy, variant in [("scratch", ""), ("scratch", "half_steps"), ("full", ""), ("source", "")]
        for progress in (0.5, 1.0)
    }
    return run_frames(table)


def outcomes(**change) -> Outcomes:
    given = frames() | change
    return Outcomes(**{name: given[name] for name in ("predictions", "cells", "labelled", "truth", "classes")})


def refusal(**change) -> str:
    with pytest.raises(DataError) as error:
        outcomes(**change)
    return str(error.value)


def test_correctness_by_seed_and_row():
    expected = np.random.default_rng(0).integers(0, 2, size=(2, ROWS))  # the first table drawn
    assert (outcomes().scores("scratch", 10, [0, 1], 0.5) == expected).all()


def test_the_order_of_rows_does_not_matter():
    given = frames()
    shuffled = {name: given[name].sample(frac=1, random_state=1) for name in ("predictions", "cells", "truth")}
    one, other = outcomes(), outcomes(**shuffled)
    for table in (comparison_table, predictions_table, snapshots_table):
        pd.testing.assert_frame_equal(table(one, FAMILIES), table(other, FAMILIES))


def test_a_variant_read_back_from_a_csv_is_still_the_main_run():
    cells = frames()["cells"]
    cells["variant"] = cells["variant"].replace("", None)
    assert outcomes(cells=cells).seeds("scratch", 10) == [0, 1]


def test_a_column_is_missing():
    assert refusal(cells=frames()["cells"].drop(columns=["seconds", "labels"])) == (
        "cells lacks seconds, labels; it needs the columns strategy, variant, label_budget, seed, seconds, compute,"
        " pretraining_compute, train_score, validation_score, labels"
    )


def test_no_truth():
    assert refusal(truth=frames()["truth"].head(0)) == (
        "truth has no rows; a verdict needs test rows: give the target a test split"
    )


def test_an_id_twice_in_truth():
    truth = frames()["truth"]
    assert refusal(truth=pd.concat([truth, truth.iloc[[3]]])) == (
        "truth has id 'r00003' more than once; each test row counts once"
    )


def test_a_label_that_is_no_class():
    truth = frames()["truth"].replace({"label": {"owl": "bat"}})
    assert refusal(truth=truth) == ("truth has class 'bat'; the classes are cat, dog, owl")


def test_a_prediction_that_is_no_class():
    predictions = frames()["predictions"]
    predictions.loc[0, "prediction"] = "bat"
    assert refusal(predictions=predictions) == ("predictions has class 'bat'; the classes are cat, dog, owl")


def test_a_row_that_is_no_test_row():
    predictions = frames()["predictions"]
    predictions.loc[0, "id"] = "x"
    assert refusal(predictions=predictions) == (
        "predictions of scratch have id 'x', which is no test row; predict the rows of truth, no others"
    )


def test_a_row_that_was_not_predicted():
    assert refusal(predictions=frames()["predictions"].drop(index=0)) == (
        "scratch (label budget 10, seed 0) predicts 11 different test rows in 11 predictions;"
        " every snapshot predicts each of the 12 test rows once"
    )


def test_a_row_that_was_predicted_twice():
    predictions = frames()["predictions"]
    assert refusal(predictions=pd.concat([predictions, predictions.iloc[[0]]])) == (
        "scratch (label budget 10, seed 0) predicts 12 different test rows in 13 predictions;"
        " every snapshot predicts each of the 12 test rows once"
    )


def test_probabilities_that_are_not_one_a_class():
    predictions = frames()["predictions"]
    predictions.at[0, "probabilities"] = [0.5, 0.5]
    assert refusal(predictions=predictions) == (
        "scratch (label budget 10, seed 0) has [2, 3] probabilities a row; there are 3 classes"
    )


@pytest.mark.parametrize("odd", [float("nan"), 1.5, -0.1])
def test_probabilities_that_are_none(odd):
    predictions = frames()["predictions"]
    predictions.at[0, "probabilities"] = [odd, 0.5, 0.5]
    assert refusal(predictions=predictions) == (
        "scratch (label budget 10, seed 0) has a probability that is not a number from 0 to 1;"
        " a training that diverged does that: lower its learning rate"
    )


def test_compute_that_is_not_given():
    cells = frames()["cells"]
    cells.loc[2, "compute"] = float("nan")
    assert refusal(cells=cells) == (
        "cells has no compute for scratch:half_steps (label budget 10, seed 0); give a number, 0 where none was spent"
    )


def test_a_training_without_its_final_snapshot():
    predictions = frames()["predictions"]
    kept = (predictions["strategy"] != "full") | (predictions["progress"] < 1)
    assert refusal(predictions=predictions[kept]) == (
        "full (label budget 10, seed 0) has snapshots at progress [0.5]; the final one, 1.0, is missing"
    )


def test_a_training_without_a_cell():
    cells = frames()["cells"]
    assert refusal(cells=cells[cells["strategy"] != "full"]) == (
        "full (label budget 10, seed 0) has predictions but no row in cells; finetune writes both"
    )


def test_a_cell_twice():
    cells = frames()["cells"]
    assert refusal(cells=pd.concat([cells, cells.iloc[[0]]])) == (
        "cells has scratch (label budget 10, seed 0) more than once; keep one row a training"
    )


def test_labelled_rows_that_are_not_given():
    with pytest.raises(DataError) as error:
        outcomes(labelled={(10, 0): [["a"]]}).overlap(10, [0, 1])
    assert str(error.value) == (
        "labelled rows are missing for (label_budget, seed) [(10, 1)]; they are written where labels are drawn"
    )


def test_a_strategy_without_a_family():
    with pytest.raises(DataError) as error:
        comparison_table(outcomes(), {"scratch": "none", "source": "none"})
    assert str(error.value) == "strategy 'full' has no family; families are given for scratch, source"


def test_comparison_table():
    table = comparison_table(outcomes(), FAMILIES)
    assert list(table) == ["strategy", "family", "label_budget", "seed", "split", "metric", "value", "seconds"]
    assert list(table["strategy"].unique()) == ["source", "scratch", "scratch:half_steps", "full"]
    full = table[(table["strategy"] == "full") & (table["seed"] == 1)]
    assert list(zip(full["split"], full["metric"], strict=True)) == [
        ("test", "accuracy"),
        ("test", "macro_f1"),
        ("test", "log_loss"),
        ("validation", "accuracy"),
        ("train", "accuracy"),
    ]
    assert set(full["family"]) == {"fine-tuning"}
    assert set(full["seconds"]) == {2.5}
    predictions = predictions_table(outcomes(), FAMILIES)
    own = predictions[(predictions["strategy"] == "full") & (predictions["seed"] == 1)]
    assert list(full["value"]) == pytest.approx(
        [
            reference.accuracy_score(own["truth"], own["prediction"]),
            reference.f1_score(own["truth"], own["prediction"], average="macro"),
            reference.log_loss(own["truth"], np.stack(own["probabilities"]), labels=["cat", "dog", "owl"]),
            0.9,
            1.0,
        ]
    )


def test_what_is_measured_of_predictions_stands_beside_the_scores():
    speed = {"strategy": "full", "label_budget": 10, "seed": 1, "seconds": 2.5, "batch_rows": 256}
    speed |= {"rows_per_second": 640.0, "latency_ms_p50": 1.5, "latency_ms_p99": 3.0}
    table = comparison_table(outcomes(), FAMILIES, speeds=[speed])
    assert table.iloc[:-3].equals(comparison_table(outcomes(), FAMILIES))
    assert table.iloc[-3:].to_numpy().tolist() == [
        ["full", "fine-tuning", 10, 1, "prediction", "rows_per_second", 640.0, 2.5],
        ["full", "fine-tuning", 10, 1, "prediction", "latency_ms_p50", 1.5, 2.5],
        ["full", "fine-tuning", 10, 1, "prediction", "latency_ms_p99", 3.0, 2.5],
    ]


def test_where_classes_are_done_without_every_training_has_its_scores_on_them_and_on_the_others():
    plain, table = comparison_table(outcomes(), FAMILIES), comparison_table(outcomes(), FAMILIES, unseen=["owl"])
    added = ["seen", "unseen", "harmonic_mean"]
    pd.testing.assert_frame_equal(table[~table["metric"].isin(added)].reset_index(drop=True), plain)
    assert table[table["metric"].isin(added)].groupby(["strategy", "seed"]).size().eq(3).all()
    predictions = predictions_table(outcomes(), FAMILIES)
    own = predictions[(predictions["strategy"] == "full") & (predictions["seed"] == 1)]
    recall = reference.recall_score(own["truth"], own["prediction"], average=None, labels=["cat", "dog", "owl"])
    full = table[(table["strategy"] == "full") & (table["seed"] == 1)].set_index("metric")["value"]
    assert full["unseen"] == pytest.approx(recall[2])
    assert full["seen"] == pytest.approx(recall[:2].mean())


def test_a_training_score_that_does_not_exist_has_no_row():
    cells = frames()["cells"]
    cells.loc[cells["strategy"] == "source", "train_score"] = np.nan
    table = comparison_table(outcomes(cells=cells), FAMILIES)
    assert set(table[table["strategy"] == "source"]["split"]) == {"test", "validation"}
    assert table["value"].notna().all()


def test_predictions_table():
    table = predictions_table(outcomes(), FAMILIES)
    assert list(table) == ["id", "strategy", "label_budget", "seed", "truth", "prediction", "probabilities"]
    assert len(table) == 4 * 2 * ROWS
    assert "scratch:half_steps" in set(table["strategy"])
    first = table.iloc[0]
    assert json.loads(first.to_json())["id"] == "r00000"
    assert first["truth"] == "cat"
    assert first["probabilities"] == pytest.approx(
        [0.8 if c == first["prediction"] else 0.1 for c in ("cat", "dog", "owl")]
    )


def test_snapshots_table():
    table = snapshots_table(outcomes(), FAMILIES)
    assert list(table) == ["strategy", "variant", "label_budget", "seed", "progress", "compute", "accuracy"]
    half = table[(table["variant"] == "half_steps") & (table["seed"] == 0)]
    assert list(half["strategy"]) == ["scratch", "scratch"]
    assert list(half["progress"]) == [0.5, 1.0]
    assert list(half["compute"]) == [300.0, 600.0]
    assert half["accuracy"].iloc[1] == pytest.approx(outcomes().scores("scratch:half_steps", 10, [0]).mean())
