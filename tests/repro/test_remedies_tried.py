"""Remedies in a whole project: tried where the target falls short, the best of all delivered, both drivers agreed."""

import json

import pandas as pd
import pytest

from tasks import tracking

pytestmark = pytest.mark.scenario

TINY = {
    f"strategies.{name}.steps": 8 for name in ("l2_sp", "wise_ft", "rotation", "fixmatch")
}  # fmt: skip


@pytest.fixture(scope="module")
def short(make_project, draw_pictures):
    """A project whose only entrant learns next to nothing, with a second source that is held for a remedy."""
    project = make_project(
        **{
            "finetune.strategies": ["source", "scratch", "full"],
            "strategies.full.steps": 4,
            "strategies.full.learning_rates": [1e-9],
            "remedy.max_rounds": 6,
            "source.enter": 1,
            **TINY,
        }
    )
    draw_pictures(project.root / "data" / "blobs", per_class=30, seed=3, ink=200)
    project.run("dvc", "add", "-q", "data/blobs")
    project.set(source__data=["shapes", "blobs"])
    return project, project.headstart("run")


def rounds(project) -> dict:
    return json.loads((project.root / "models" / "remedies" / "rounds.json").read_text())


def test_what_falls_short_is_remedied_in_the_stated_order(short):
    project, _ = short
    tried = [row["tried"] for row in rounds(project)["rounds"]]
    stated = ["frozen_blocks@shapes", "l2_sp@shapes", "wise_ft@shapes", None, "rotation@shapes", "fixmatch@shapes"]
    assert tried[0] == "frozen_blocks@shapes"
    for place, (found, expected) in enumerate(zip(tried, stated, strict=False)):
        assert found == expected or (place == 3 and found.endswith("@blobs"))


def test_each_round_is_an_entrant_of_the_comparison_and_a_row_of_the_verdict(short):
    project, _ = short
    tried = [row["tried"] for row in rounds(project)["rounds"]]
    comparison = pd.read_csv(project.root / "reports" / "comparison.csv")
    assert set(tried) < set(comparison["strategy"])
    verdict = json.loads((project.root / "reports" / "verdict.json").read_text())
    assert [row["tried"] for row in verdict["rounds"]] == tried
    assert verdict["interim"] == rounds(project)["standing"]
    assert verdict["opened"] == 1
    assert "frozen_blocks from shapes" in (project.root / "reports" / "report.html").read_text()


def test_each_round_is_a_run_below_the_steps_in_mlflow(short):
    project, _ = short
    with pytest.MonkeyPatch.context() as patch:
        for name, value in tracking.ENVIRONMENT.items():
            patch.setenv(name, value)
        from mlflow.tracking import MlflowClient

        tracking.ignore_known_warnings()
        client = MlflowClient(f"sqlite:///{project.root}/.headstart/mlflow.db")
        runs = client.search_runs([client.get_experiment_by_name("headstart").experiment_id])
    by_name = {run.info.run_name: run for run in runs}
    tried = [row["tried"] for row in rounds(project)["rounds"]]
    children = [by_name[f"remedy {number}"] for number in range(1, len(tried) + 1)]
    assert [run.data.params["entrant"] for run in children] == tried
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {by_name["remedy"].info.run_id}
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_the_log_says_why_and_what_came_of_it(short):
    _, done = short
    assert "remedy 1: frozen_blocks from shapes (the first blocks fixed to W were not tried yet)" in done.stderr
    assert "plan: where the best way falls short on held-out labels, up to 6 remedies more, about " in done.stderr
    assert "model:  models/remedies/" in done.stdout


def test_a_source_that_came_in_with_a_remedy_came_in_as_it_is_too(short):
    project, _ = short
    comparison = pd.read_csv(project.root / "reports" / "comparison.csv")
    assert {"source@shapes", "source@blobs"} <= set(comparison["strategy"])
    assert rounds(project)["beside"] == ["source@blobs"]


def test_the_best_of_all_is_delivered_and_registered(short):
    project, done = short
    assert "registered with MLflow: headstart-sketches, version 1" in done.stdout
    selection = json.loads((project.root / "models" / "selection" / "selection.json").read_text())
    scores = selection["validation_accuracy"]
    assert scores[selection["entrant"]] == max(scores.values())
    assert set(scores) == {"full@shapes", *(row["tried"] for row in rounds(project)["rounds"])}
    assert selection["delivered"].startswith("models/remedies/")
    card = json.loads((project.root / selection["delivered"] / "card.json").read_text())
    assert card["strategy"] == selection["strategy"]
    curve = pd.read_csv(project.root / "models" / "selection" / "cells.csv", keep_default_na=False)
    assert selection["entrant"] in set(curve[curve["label_budget"] == 2]["strategy"])


def test_after_it_dvc_has_nothing_to_do_and_cold_it_ends_with_the_same_bytes(short, tmp_path):
    project, _ = short
    assert project.run("dvc", "status").stdout == "Data and pipelines are up to date.\n"
    cold = project.copy(tmp_path / "cold")
    before = cold.weights()
    cold.set(remedy__max_rounds=1)
    cold.run("dvc", "repro")
    first = rounds(cold)["rounds"]
    assert first == rounds(project)["rounds"][:1]
    assert not (cold.root / "models" / "remedies" / "2").exists()
    cold.set(remedy__max_rounds=6)
    assert "Running stage" not in cold.run("dvc", "repro").stdout
    assert cold.weights() == before


def test_where_the_target_is_ahead_nothing_is_tried(short, run_warm, tmp_path):
    project, _ = short
    ahead = project.copy(tmp_path / "ahead")
    ahead.set(
        finetune__strategies=["scratch", "full"],
        strategies__full__steps=60,
        strategies__full__learning_rates=[0.004],
        strategies__scratch__steps=4,
    )
    run_warm(ahead)
    assert rounds(ahead)["rounds"] == []
    assert [path.name for path in (ahead.root / "models" / "remedies").iterdir()] == ["rounds.json"]
    selection = json.loads((ahead.root / "models" / "selection" / "selection.json").read_text())
    assert selection["delivered"] == "models/target/full"
