"""Tasks across kinds: a source of classes, values or attributes, and a target of another kind, through the command."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from headstart.report import words

pytestmark = pytest.mark.scenario

SIZE = 12
ROWS = 150
WAYS = "source,scratch,linear_probe,full,knn,joint_supervised"
PAIRS = {  # source, target, flags of its own
    "classes to values": ("shapes", "turned", []),
    "values to classes": ("leaning", "sketches", []),
    "attributes to values": ("described", "turned", ["--data.attribute_columns", "tilt,thick,shade"]),
    "attributes to classes": ("described", "sketches", ["--data.attribute_columns", "tilt,thick,shade"]),
}


def draw_bars(directory: Path, *, seed: int) -> pd.DataFrame:
    """Writes pictures of turned bars; path, value (its angle in degrees) and what else there is to say of each."""
    draw = np.random.default_rng(seed)
    directory.mkdir(parents=True)
    rows, columns = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    table = []
    for number in range(ROWS):
        angle, thick = round(draw.uniform(-60, 60), 1), bool(draw.random() < 0.5)
        slope, ink = np.radians(angle), draw.uniform(120, 255)
        bar = np.abs(rows * np.cos(slope) + columns * np.sin(slope)) < (2.2 if thick else 1.2)
        picture = np.clip(bar * ink + draw.normal(0, 20, bar.shape), 0, 255).astype(np.uint8)
        path = f"{number:03d}.png"
        Image.fromarray(picture).save(directory / path)
        tilt = "left" if angle < -20 else "right" if angle > 20 else "flat"
        table.append({"path": path, "value": angle, "tilt": tilt, "thick": thick, "shade": round(ink, 1)})
    return pd.DataFrame(table)


@pytest.fixture(scope="module")
def project(make_project: Callable):
    """One project with a dataset of each kind."""
    project = make_project(
        **{"finetune.label_budget": 20, "finetune.curve_budgets": [], "finetune.strategies": WAYS.split(",")}
    )
    data = project.root / "data"
    for name, seed in (("turned", 3), ("leaning", 4), ("described", 5)):
        table = draw_bars(data / name, seed=seed)
        columns = ["path", "tilt", "thick", "shade"] if name == "described" else ["path", "value"]
        table[columns].to_csv(data / name / "labels.csv", index=False)
    project.run("dvc", "add", "-q", *(f"data/{name}" for name in ("turned", "leaning", "described")))
    project.run("git", "add", "-A")
    project.run("git", "commit", "-q", "-m", "a dataset of each kind")
    return project


@pytest.mark.parametrize("pair", PAIRS)
def test_a_target_of_another_kind_gets_its_verdict_and_a_model(project, pair):
    source, target, flags = PAIRS[pair]
    values = target == "turned"
    budget = "50" if values else "4"
    named = ["--source.data", source, "--target.data", target, "--finetune.label_budget", budget]
    ways = WAYS + (",joint_attributes" if source == "described" else "")
    project.headstart("run", *named, "--finetune.strategies", ways, *flags, timeout=900)
    verdict = json.loads((project.root / "reports" / "verdict.json").read_text())
    assert verdict["metric"] == ("mae" if values else "accuracy")
    assert verdict["against_scratch"]["sentence"]
    found = pd.read_csv(project.root / "reports" / "comparison.csv")
    assert set(ways.split(",")) <= set(found["strategy"])
    measured = found[found["metric"] == ("coverage" if values else "calibration_error")]
    assert measured["value"].between(0, 1).all()
    assert set(ways.split(",")) <= set(measured["strategy"])
    said = verdict["intervals" if values else "probabilities"]["sentence"]
    assert words.sentence(said) in (project.root / "reports" / "report.html").read_text()
    chosen = json.loads((project.root / "models" / "selection" / "selection.json").read_text())["strategy"]
    project.headstart("predict", f"models/target/{chosen}", f"data/{target}", "--out", f"{pair[:12]}.csv", "--force")
    answers = pd.read_csv(project.root / f"{pair[:12]}.csv")
    if values:
        assert (answers["low"] < answers["prediction"]).all()
        assert (answers["prediction"] < answers["high"]).all()
    else:
        assert np.allclose(answers.filter(like="probability.").sum(axis=1), 1, atol=1e-4)
