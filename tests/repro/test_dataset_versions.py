"""Datasets have versions: a new one reruns what depends on it, an old one brings its results back untrained."""

from pathlib import Path

import pytest
from PIL import Image, ImageOps

pytestmark = pytest.mark.scenario


def test_new_version_old_version_and_another_clone(cold, run_warm, tmp_path: Path) -> None:
    project = cold.copy(tmp_path / "project")
    project.run("git", "add", "-A")
    project.run("git", "commit", "-q", "-m", "results of the first version")
    first = (project.root / "reports" / "verdict.json").read_bytes()
    weights = project.weights()

    for path in sorted((project.root / "data" / "sketches").glob("*/00[0-5].png")):
        ImageOps.mirror(Image.open(path)).save(path.with_name(f"new-{path.name}"))
    project.run("dvc", "add", "-q", "data/sketches")
    results = run_warm(project, until="evaluate")
    assert results["pretrain@shapes"] == "unchanged", "W depends on the source alone"
    assert {results[name] for name in ("ingest_target", "extract", "finetune@scratch", "evaluate")} == {"ran"}
    second = project.weights()
    assert second["models/source/shapes/weights.safetensors"] == weights["models/source/shapes/weights.safetensors"]
    assert second["models/target/scratch/weights.safetensors"] != weights["models/target/scratch/weights.safetensors"]
    assert (project.root / "reports" / "verdict.json").read_bytes() != first

    cells = project.cells()
    project.run("git", "checkout", "-q", "--", "data/sketches.dvc", "dvc.lock")
    project.run("dvc", "checkout", "-q")
    assert (project.root / "reports" / "verdict.json").read_bytes() == first
    assert project.weights() == weights
    assert set(run_warm(project).values()) == {"unchanged"}
    assert project.cells() == cells, "nothing was trained"

    project.run("dvc", "remote", "add", "-q", "-d", "store", str(tmp_path / "remote"))
    project.run("dvc", "push", "-q")
    project.run("git", "commit", "-q", "-a", "-m", "a remote")
    project.run("git", "clone", "-q", str(project.root), str(tmp_path / "clone"))
    clone = type(cold)(tmp_path / "clone")
    clone.run("dvc", "pull", "-q")
    said = clone.run("dvc", "repro").stdout
    assert "Running stage" not in said
    assert "Data and pipelines are up to date" in said
    assert clone.weights() == weights
    assert not (clone.root / ".headstart" / "cells").exists(), "nothing was trained"
