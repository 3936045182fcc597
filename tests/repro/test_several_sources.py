"""Several sources: each is pretrained and enters with every strategy; one more trains its own cells alone."""

import json
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.scenario

ENTRANTS = ["source", "linear_probe", "frozen_blocks", "full", "lp_ft"]


@pytest.fixture(scope="module")
def two(cold, run_warm, draw_pictures, tmp_path_factory):
    """A finished project to which a second source is added: the project, what became of each step, the cells before."""
    project = cold.copy(tmp_path_factory.mktemp("two") / "project")
    draw_pictures(project.root / "data" / "blobs", per_class=30, seed=3, ink=200)
    project.run("dvc", "add", "-q", "data/blobs")
    project.set(source__data=["shapes", "blobs"])
    before = project.cells()
    return project, run_warm(project), before


def test_one_more_source_trains_its_own_w_and_its_own_cells(two):
    project, results, before = two
    ran = {name for name, outcome in results.items() if outcome == "ran"}
    again = {
        "extract",
        "explore",
        "quality",
        "rank",
        *(f"finetune@{name}" for name in ENTRANTS),
        "remedy",
        "select",
        "evaluate",
        "report",
    }
    assert ran == {"ingest_source@blobs", "pretrain@blobs"} | again
    assert results["finetune@scratch"] == results["pretrain@shapes"] == "unchanged"
    now = project.cells()
    assert {name: now[name] for name in before} == before
    assert project.run("dvc", "status").stdout == "Data and pipelines are up to date.\n"


def test_every_strategy_enters_from_each_and_the_control_once(two):
    project, _, _ = two
    comparison = pd.read_csv(project.root / "reports" / "comparison.csv")
    names = {name for name in comparison["strategy"] if ":" not in name}
    assert names == {"scratch"} | {f"{name}@{source}" for name in ENTRANTS for source in ("shapes", "blobs")}
    for folder in (
        "models/source/blobs",
        "models/source/shapes",
        "features/blobs/sketches",
        "features/shapes/sketches",
    ):
        assert (project.root / folder).is_dir()


def test_the_verdict_names_whose_w_it_is(two):
    project, _, _ = two
    selection = json.loads((project.root / "models" / "selection" / "selection.json").read_text())
    assert selection["entrant"] == f"{selection['strategy']}@{selection['source']}"
    assert len(selection["validation_accuracy"]) == 8
    verdict = json.loads((project.root / "reports" / "verdict.json").read_text())
    assert verdict["against_scratch"]["strategy"] == selection["entrant"]
    assert verdict["against_source"]["against"] == "source"
    assert f"{selection['strategy']} from {selection['source']} " in verdict["sentence"]
    source = f"source@{selection['source']}"
    assert {row["against"] for row in verdict["exploratory"]} == {"scratch", "source@shapes", "source@blobs"}
    assert all(row["strategy"] != source or row["against"] == "scratch" for row in verdict["exploratory"])
    card = json.loads((project.root / "models" / "target" / selection["strategy"] / "card.json").read_text())
    assert card["strategy"] == selection["strategy"]
    page = (project.root / "reports" / "report.html").read_text()
    assert page.count('<span class="role">source</span>') == 2
    assert "Which source knows the target best?" in page
    assert "Kendall's tau" not in page, "two sources have none"


def test_back_to_one_source_everything_is_restored(two, run_warm, cold, tmp_path: Path):
    project = two[0].copy(tmp_path / "project")
    project.set(source__data=["shapes"])
    assert "ran" not in run_warm(project).values()
    assert not (project.root / "models" / "source" / "blobs").exists()
    for name in ("reports/verdict.json", "models/selection/selection.json"):
        assert (project.root / name).read_bytes() == (cold.root / name).read_bytes()


def test_dvc_repro_comes_to_the_same(two, tmp_path: Path):
    project = two[0].copy(tmp_path / "project")
    project.run("rm", "-rf", "features", "reports", "models/selection", "models/target/full")
    project.run("dvc", "repro", timeout=600)
    for name in ("reports/verdict.json", "models/target/full/weights.safetensors"):
        assert (project.root / name).read_bytes() == (two[0].root / name).read_bytes()


def test_the_ranking_stands_beside_what_fine_tuning_came_to(two):
    """All of it is there already, so that the command only reads."""
    project, _, _ = two
    done = project.headstart("rank")
    first, *sources = done.stdout.splitlines()
    assert first == "ranked by ridge: accuracy on labels left out in turn, 2 draws of 4 labels a class"
    assert sorted(line.split()[1] for line in sources) == ["blobs:", "shapes:"]
    assert all("; fine-tuned from it: " in line and " rows;" in line for line in sources)
    rows = json.loads(project.headstart("rank", "--json").stdout)
    assert len(rows) == 8
    assert all(0 <= row["fine_tuned"] <= 1 for row in rows)


def test_ranking_pretrains_and_looks_and_tunes_nothing(cold, draw_pictures, tmp_path):
    project = cold.copy(tmp_path / "project")
    draw_pictures(tmp_path / "blobs", per_class=30, seed=3, ink=200)
    before = project.cells()
    done = project.headstart("rank", "--sources", f"shapes,{tmp_path / 'blobs'}")
    assert "params.yaml: source.data: shapes -> shapes,blobs" in done.stdout
    assert "2. " in done.stdout.splitlines()[-1]
    assert (project.root / "models" / "source" / "blobs").is_dir()
    assert project.cells() == before
    assert pd.read_csv(project.root / "reports" / "ranking.csv")["source"].nunique() == 2
    assert "finetune" not in done.stderr
