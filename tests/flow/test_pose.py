"""Several values a row through the whole command: the run that docs/howto/regression.md shows."""

import json

import pandas as pd
import pytest
from augmentation import STILL

pytestmark = pytest.mark.scenario

DATA = ["--source.data", "mnist5k_pose", "--target.data", "digits_pose"]
BUDGETS = ["--finetune.label_budget", "50", "--finetune.curve_budgets", "25,100"]
NAMES = ["x", "y", "angle"]


@pytest.fixture(scope="module")
def run(make_project):
    project = make_project()
    return project, project.headstart("run", "--preset", "default", *DATA, *BUDGETS, *STILL, timeout=1800)


def test_a_source_of_poses_helps_with_poses(run):
    project, done = run
    verdict = json.loads((project.root / "reports" / "verdict.json").read_text())
    assert (verdict["metric"], verdict["unit"]) == ("scaled_mae", "s.d.")
    assert verdict["against_scratch"]["verdict"] == "helped"
    assert 0.2 < verdict["against_scratch"]["difference"] < 0.5
    assert [(own["name"], own["unit"]) for own in verdict["values"]] == [
        *(("x", "pixels"), ("y", "pixels"), ("angle", "degrees"))
    ]
    assert all(0.7 < own["intervals"]["coverage"] <= 1 for own in verdict["values"])
    assert "digits_pose: 1,797 rows of 3 values: x (pixels), y (pixels), angle (degrees)" in done.stderr


def test_the_source_as_it_is_answers_with_its_own_head(run):
    project, _ = run
    card = json.loads((project.root / "models" / "target" / "source" / "card.json").read_text())
    assert (card["kind"], [own["name"] for own in card["values"]]) == ("network", NAMES)


def test_new_images_get_all_of_them(run):
    project, _ = run
    project.headstart("predict", "models/target/full", "data/digits_pose/images", "--out", "poses.csv")
    answers = pd.read_csv(project.root / "poses.csv")
    each = [column for name in NAMES for column in (name, f"{name}_low", f"{name}_high")]
    assert answers.columns.tolist() == ["path", *each, "distance", "out_of_domain"]
    truth = pd.read_csv(project.root / "data" / "digits_pose" / "labels.csv").set_index("path")
    known = truth.loc["images/" + answers["path"].str.rpartition("/")[2], NAMES].to_numpy()
    errors = (answers[NAMES] - known).abs().mean()
    assert (errors < [1.0, 1.0, 20.0]).all()
