"""The flow and `dvc repro` are one pipeline: the same bytes, one cache, and nothing to do after the other."""

from pathlib import Path


def test_both_end_with_the_same_bytes(cold, warm) -> None:
    assert warm.weights() == cold.weights()
    assert len(warm.weights()) == 6
    for name in ("reports/predictions.parquet", "reports/verdict.json", "models/selection/selection.json"):
        assert (warm.root / name).read_bytes() == (cold.root / name).read_bytes()


def test_after_a_run_of_the_flow_dvc_has_nothing_to_do(warm) -> None:
    assert warm.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."
    assert "Running stage" not in warm.run("dvc", "repro").stdout


def test_after_dvc_repro_the_flow_skips_everything(cold, run_warm) -> None:
    assert set(run_warm(cold).values()) == {"unchanged"}


def test_dvc_repro_restores_what_the_flow_computed(cold, run_warm, tmp_path: Path) -> None:
    project = cold.copy(tmp_path / "project")
    first = project.weights()
    project.set(strategies__full__steps=9)
    assert run_warm(project)["finetune@full"] == "ran"
    assert project.weights() != first
    trained = project.cells()
    project.set(strategies__full__steps=8)
    assert "Running stage" not in project.run("dvc", "repro").stdout
    assert project.weights() == first
    assert project.cells() == trained, "nothing was trained"
