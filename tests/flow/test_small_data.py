"""Sixty rows in three classes, through the whole flow: cross-validation, an honest interval, a model of all rows."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from headstart.prediction import load

pytestmark = pytest.mark.scenario

FOLDS, SEEDS = 5, 3


@pytest.fixture(scope="module")
def few(make_project: Callable[..., Any], request: pytest.FixtureRequest):
    """A project whose target has 20 pictures a class, after `headstart run`, and what that said."""
    project = make_project(
        **{
            "data.smallest_test": 150,
            "target.data": "few",
            "finetune.label_budget": 10,
            "finetune.curve_budgets": [5, 20],
            "finetune.seeds": SEEDS,
        }
    )
    draw = request.config.pluginmanager.get_plugin(str(Path(__file__).parents[1] / "conftest.py")).draw_pictures
    draw(project.root / "data" / "few", per_class=20, seed=3, ink=110)
    return project, project.headstart("run", timeout=900)


def test_the_plan_says_so_before_anything_is_trained(few) -> None:
    _, done = few
    said = done.stderr + done.stdout
    assert "too few rows for a test set (40% of 60 rows are fewer than data.smallest_test, 150)" in said
    assert f"by {FOLDS}-fold cross-validation repeated {SEEDS} times" in said
    assert "left out of the curve: 20 (finetune.curve_budgets)" in said


def test_the_verdict_is_honest_about_sixty_rows(few) -> None:
    project, done = few
    verdict = json.loads((project.root / "reports" / "verdict.json").read_text())
    scratch = verdict["against_scratch"]
    assert (verdict["folds"], scratch["rows"], scratch["units"], scratch["seeds"]) == (FOLDS, 60, 60, SEEDS)
    assert f"by {FOLDS}-fold cross-validation repeated {SEEDS} times" in verdict["sentence"]
    assert verdict["sentence"] in done.stdout
    # 14.6 points were measured; 60 rows of which a tenth tells the two apart cannot do better than 8
    assert 0.05 < (scratch["high"] - scratch["low"]) / 2 < 0.3
    assert 0.4 < scratch["overlap"] <= 0.8


def test_each_seed_predicts_each_row_once(few) -> None:
    project, _ = few
    table = pd.read_parquet(project.root / "reports" / "predictions.parquet")
    for _, part in table.groupby(["strategy", "label_budget", "seed"]):
        assert len(part) == part["id"].nunique() == 60
    assert set(table["label_budget"]) == {5, 10}
    assert table["seed"].nunique() == SEEDS


def test_its_rows_are_explored_and_its_speed_is_that_of_what_is_delivered(few) -> None:
    project, _ = few
    found = json.loads((project.root / "reports" / "clusters.json").read_text())
    assert (found["rows"], found["labelled"], found["sources"][0]["compared"]["k"]) == (60, 60, 3)
    comparison = pd.read_csv(project.root / "reports" / "comparison.csv")
    speed = comparison[comparison["split"] == "prediction"]
    assert set(speed["label_budget"]) == {10}
    assert speed["seconds"].notna().all()


def test_the_delivered_model_is_trained_on_all_rows_and_says_so(few) -> None:
    project, done = few
    folder = (
        project.root
        / "models"
        / "target"
        / json.loads((project.root / "models" / "selection" / "selection.json").read_text())["strategy"]
    )
    model = load(folder)
    assert model.card.label_budget is None
    assert model.card.trained_on.startswith("all 60 labelled rows; ")
    assert f"{FOLDS}-fold cross-validation" in model.card.trained_on
    said = project.headstart("predict", str(folder), str(project.root / "data" / "few" / "disc")).stdout
    answers = pd.read_csv(StringIO(said))
    assert len(answers) == 20
    assert (answers["prediction"] == "disc").mean() > 0.7


def test_a_second_run_does_nothing(few) -> None:
    project, _ = few
    assert "nothing changed since the last run" in project.headstart("run").stdout


@pytest.fixture(scope="module")
def dozen(few, request: pytest.FixtureRequest):
    """A newcomer's folder of twelve pictures a class, at the default budgets of 10, 5 and 20 labels a class."""
    project, _ = few
    draw = request.config.pluginmanager.get_plugin(str(Path(__file__).parents[1] / "conftest.py")).draw_pictures
    folder = draw(project.root.parent / "a dozen", per_class=12, seed=4, ink=110)
    return project, project.headstart("run", "--target.data", str(folder), timeout=900)


def test_twelve_pictures_a_class_go_through(dozen) -> None:
    project, done = dozen
    assert "label budget 6 instead of 10" in done.stderr + done.stdout
    verdict = json.loads((project.root / "reports" / "verdict.json").read_text())
    assert verdict["against_scratch"]["label_budget"] == 6
    assert verdict["against_scratch"]["rows"] == 36
    assert 0.05 < (verdict["against_scratch"]["high"] - verdict["against_scratch"]["low"]) / 2 < 0.6
    assert "6 labels a class" in (project.root / "reports" / "report.html").read_text()
