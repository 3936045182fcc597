"""Values instead of classes through the whole command, on real digits: the run that docs/howto/regression.md shows."""

import json
import re

import pandas as pd
import pytest
from augmentation import STILL

pytestmark = pytest.mark.scenario

DATA = ["--source.data", "mnist5k_angle", "--target.data", "digits_angle"]
BUDGETS = ["--finetune.label_budget", "50", "--finetune.curve_budgets", "25,100"]


@pytest.fixture(scope="module")
def run(make_project):
    """A project after a run on turned digits at the default settings, and what that said."""
    project = make_project()
    done = project.headstart("run", "--preset", "default", *DATA, *BUDGETS, *STILL, timeout=1800)
    return project, done


@pytest.fixture(scope="module")
def verdict(run):
    project, _ = run
    return json.loads((project.root / "reports" / "verdict.json").read_text())


def test_a_source_of_angles_helps_with_angles(verdict):
    assert (verdict["metric"], verdict["unit"]) == ("mae", "degrees")
    assert verdict["against_scratch"]["verdict"] == "helped"
    assert verdict["against_source"]["verdict"] == "helped"
    assert 3 < verdict["against_scratch"]["difference"] < 8


def test_the_source_as_it_is_answers_with_its_own_head_for_the_unit_is_the_same(run):
    project, _ = run
    card = json.loads((project.root / "models" / "target" / "source" / "card.json").read_text())
    assert (card["kind"], card["values"][0]["unit"]) == ("network", "degrees")


def test_its_words_are_of_degrees_and_labels_in_all(run):
    project, done = run
    said = done.stderr
    assert "digits_angle: 1,797 rows of values in degrees" in said
    assert re.search(r"cell \d+/\d+: scratch[^,]*, \d+ labels, seed \d: validation MAE", said), said
    assert "labels a class" not in said
    assert "degrees lower than training from scratch's" in done.stdout
    page = (project.root / "reports" / "report.html").read_text()
    assert "Predicted against true values" in page
    assert "points of" not in page


def test_clusters_say_how_much_of_the_values_lies_between_them(run):
    project, _ = run
    found = json.loads((project.root / "reports" / "clusters.json").read_text())
    assert (found["kind"], found["metric"], found["unit"]) == ("value", "explained", "degrees")
    assert 0 < found["sources"][0]["compared"]["explained"]["value"] < 1
    assert all(cluster["sd"] > 0 for cluster in found["shown"]["clusters"])


def test_nothing_is_left_to_do_and_new_images_get_a_value(run):
    project, _ = run
    assert project.run("dvc", "status").stdout == "Data and pipelines are up to date.\n"
    chosen = json.loads((project.root / "models" / "selection" / "selection.json").read_text())["strategy"]
    project.headstart("predict", f"models/target/{chosen}", "data/digits_angle/images", "--out", "angles.csv")
    answers = pd.read_csv(project.root / "angles.csv")
    assert answers.columns.tolist() == ["path", "prediction", "low", "high", "distance", "out_of_domain"]
    truth = pd.read_csv(project.root / "data" / "digits_angle" / "labels.csv").set_index("path")["value"]
    errors = (answers["prediction"] - truth.loc["images/" + answers["path"].str.rpartition("/")[2]].to_numpy()).abs()
    assert errors.mean() < 15
