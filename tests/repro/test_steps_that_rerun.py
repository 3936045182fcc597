"""Which steps run, are restored or are left alone after a change, and which cells that trains: driven as the flow does.

Each test takes a copy of a finished project; what a step does not read must not rerun it.
"""

import json
import shutil

import pytest

from tasks.versioning import Versioning

pytestmark = pytest.mark.scenario

STRATEGIES = ("source", "scratch", "linear_probe", "frozen_blocks", "full", "lp_ft")
AFTER_FINETUNE = {"remedy", "select", "evaluate", "report"}


@pytest.fixture
def project(cold, tmp_path):
    """A project that is up to date."""
    return cold.copy(tmp_path / "project")


def ran(results: dict[str, str]) -> set[str]:
    return {name for name, outcome in results.items() if outcome == "ran"}


def finetune(*strategies: str) -> set[str]:
    return {f"finetune@{name}" for name in strategies}


def choice(project) -> str:
    return json.loads((project.root / "models" / "selection" / "selection.json").read_text())["strategy"]


def new_cells(project, before: dict[str, float]) -> set[str]:
    """Cells that were trained since; those that were there are as they were."""
    now = project.cells()
    assert {name: now[name] for name in before} == before
    return set(now) - set(before)


def test_a_comment_in_a_strategys_file_reruns_that_strategy_alone(project, run_warm):
    code = project.root / "headstart" / "strategies" / "full.py"
    code.write_text(code.read_text() + "# a comment\n")
    assert set(Versioning(project.root).changed()) == {"finetune@full", "remedy", "select"}
    weights, verdict = project.weights(), (project.root / "reports" / "verdict.json").read_bytes()
    assert ran(run_warm(project)) == finetune("full") | AFTER_FINETUNE
    assert project.weights() == weights  # a comment changes no byte of what is trained
    assert (project.root / "reports" / "verdict.json").read_bytes() == verdict


def test_an_edit_of_how_models_predict_trains_nothing_again(project, run_warm):
    before = project.cells()
    code = project.root / "headstart" / "prediction" / "model.py"
    code.write_text(code.read_text() + "# a comment\n")
    assert ran(run_warm(project, until="finetune")) == finetune(*STRATEGIES)
    assert new_cells(project, before) == set()


def test_other_fixed_blocks_rerun_extraction_and_the_strategy_that_reads_the_boundary(project, run_warm):
    before = project.cells()
    project.set(strategies__frozen_blocks__fixed_blocks=1)
    assert ran(run_warm(project, until="finetune")) == {"extract"} | finetune("frozen_blocks")
    assert len(new_cells(project, before)) == 2


def test_another_feature_depth_reruns_extraction_and_the_strategies_that_read_pooled_features(project, run_warm):
    before = project.cells()
    project.set(extract__levels=1)
    assert ran(run_warm(project, until="finetune")) == {"extract", "explore", "quality", "rank"} | finetune(
        "source", "linear_probe", "lp_ft"
    )
    assert len(new_cells(project, before)) == 6


def test_strategies_come_and_go(project, run_warm):
    first, cells = project.weights(), project.cells()
    project.set(finetune__strategies=["source", "scratch", "linear_probe", "full", "lp_ft"])
    results = run_warm(project, until="select")
    assert ran(results) == {"remedy", "select"}
    assert "finetune@frozen_blocks" not in results
    left = {path.name for path in (project.root / "models" / "target").iterdir()}
    assert left == {*STRATEGIES} - {"frozen_blocks"}
    assert "select" not in Versioning(project.root).changed()

    before = project.cells()
    project.set(finetune__strategies=list(STRATEGIES), strategies__frozen_blocks__steps=6)
    assert ran(run_warm(project, until="finetune")) == finetune("frozen_blocks")
    assert len(new_cells(project, before)) == 2

    project.set(strategies__frozen_blocks__steps=8)
    results = run_warm(project, until="finetune")
    assert ran(results) == set()
    assert results["finetune@frozen_blocks"] == "restored"
    assert project.weights() == first
    assert set(cells) <= set(project.cells())


def test_a_w_at_chance_is_warned_of_when_it_is_trained_and_beside_the_verdict(project, run_warm, caplog):
    """Six rows of three classes are held out: two right ones are what naming one class gives."""
    project.set(pretrain__learning_rate=1e-9)
    with caplog.at_level("INFO", logger="headstart"):
        assert "report" in ran(run_warm(project))
    words = "W tells the source's classes no better than chance (shapes: validation accuracy "
    (first,) = (line for line in caplog.messages if line.startswith(f"pretrain: {words}"))
    assert "more epochs (pretrain.epochs is 2)" in first
    warnings = json.loads((project.root / "reports" / "verdict.json").read_text())["warnings"]
    assert warnings[0] == first.removeprefix("pretrain: ")
    assert f"warning: {warnings[0]}" in caplog.messages
    assert words.replace("'", "&#39;") in (project.root / "reports" / "report.html").read_text()


def test_one_more_seed_trains_its_own_cells(project, run_warm):
    before, chosen = project.cells(), choice(project)
    project.set(finetune__seeds=3)
    assert ran(run_warm(project, until="select")) == finetune(*STRATEGIES) | {"rank", "remedy", "select"}
    # One each and scratch's at half its steps; then select's: scratch and the chosen at 2 labels, and equal compute.
    further = 3 if choice(project) == chosen else 7  # three seeds may choose another: its 2 x 3, and scratch's one
    assert len(new_cells(project, before)) == 6 + 1 + further
    cells = {path.parent.name: path for path in project.root.glob("models/target/*/cells.csv")}
    rows = {name: len(path.read_text().splitlines()) - 1 for name, path in cells.items()}
    assert rows == {"source": 3, "scratch": 6, "linear_probe": 3, "frozen_blocks": 3, "full": 3, "lp_ft": 3}


def test_a_new_version_of_the_source_leaves_the_target_and_scratch_alone(project, open_warm, in_project):
    before = project.weights()
    folder = project.root / "data" / "shapes"
    shutil.copy(folder / "disc" / "001.png", folder / "bar" / "more.png")
    assert {"data/shapes.dvc", "ingest_source@shapes"} <= set(Versioning(project.root).changed())
    assert Versioning(project.root).record_datasets() == ["data/shapes"]  # what `headstart run` does at its start
    run = open_warm(project)
    with in_project(project):
        for step in ("ingest_target", "ingest_source@shapes", "pretrain@shapes", "extract", "finetune@scratch"):
            run.step(*step.split("@"))
    assert {name: result.outcome for name, result in run.results.items()} == {
        "ingest_target": "unchanged",
        "ingest_source@shapes": "ran",
        "pretrain@shapes": "ran",
        "extract": "ran",
        "finetune@scratch": "unchanged",
    }
    assert {path for path, digest in project.weights().items() if digest != before[path]} == {
        "models/source/shapes/weights.safetensors"
    }
    changed = set(Versioning(project.root).changed())
    assert finetune("source", "linear_probe", "frozen_blocks", "full", "lp_ft") <= changed
    assert not changed & {"data/shapes.dvc", "finetune@scratch", "ingest_target"}


def test_a_setting_of_the_verdict_alone_trains_nothing(project, run_warm):
    before = project.cells()
    project.set(evaluate__confidence=0.9)
    assert ran(run_warm(project, until="evaluate")) == {"explore", "quality", "rank", "remedy", "select", "evaluate"}
    assert project.cells() == before
    verdict = json.loads((project.root / "reports" / "verdict.json").read_text())
    assert "90% CI" in verdict["sentence"]
