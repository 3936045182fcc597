"""Sixty rows in three classes, through the whole flow: cross-validation, an honest interval, a model of all rows."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headstart.prediction import load

pytestmark = pytest.mark.scenario

FOLDS, SEEDS = 5, 3


@pytest.fixture(scope="session")
def few(make_project: Callable[..., object], tmp_path_factory: pytest.TempPathFactory, request):
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
    assert 0.02 < (scratch["high"] - scratch["low"]) / 2 < 0.35
    assert 0.4 < scratch["overlap"] <= 0.8


def test_each_seed_predicts_each_row_once(few) -> None:
    project, _ = few
    table = pd.read_parquet(project.root / "reports" / "predictions.parquet")
    for _, part in table.groupby(["strategy", "label_budget", "seed"]):
        assert len(part) == part["id"].nunique() == 60
    assert set(table["label_budget"]) == {5, 10}
    assert table["seed"].nunique() == SEEDS


def test_the_delivered_model_is_trained_on_all_rows_and_says_so(few) -> None:
    project, done = few
    folder = project.root / "models" / "target" / json.loads(
        (project.root / "models" / "selection" / "selection.json").read_text()
    )["strategy"]
    model = load(folder)
    assert model.card.label_budget is None
    assert model.card.trained_on.startswith("all 60 labelled rows; ")
    assert f"{FOLDS}-fold cross-validation" in model.card.trained_on
    found = project.headstart("predict", str(folder), str(project.root / "data" / "few" / "disc"))
    answers = pd.read_csv(pd.io.common.StringIO(found.stdout)) if found.stdout.startswith("path") else None
    assert answers is not None
    assert (answers["prediction"] == "disc").mean() > 0.7


def test_a_second_run_does_nothing(few) -> None:
    project, _ = few
    assert "nothing changed since the last run" in project.headstart("run").stdout
