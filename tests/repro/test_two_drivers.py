"""The flow and `dvc repro` are one pipeline: the same bytes, one cache, and nothing to do after the other."""

from pathlib import Path


def test_both_end_with_the_same_bytes(cold, warm) -> None:
    assert warm.weights() == cold.weights()
    assert len(warm.weights()) == 7
    for name in (
        "reports/clusters.json",
        "reports/predictions.parquet",
        "reports/verdict.json",
        "models/selection/selection.json",
    ):
        assert (warm.root / name).read_bytes() == (cold.root / name).read_bytes()


def test_after_a_run_of_the_flow_dvc_has_nothing_to_do(warm) -> None:
    assert warm.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."
    assert "Running stage" not in warm.run("dvc", "repro").stdout


def test_after_dvc_repro_the_flow_skips_everything(cold, run_warm) -> None:
    assert set(run_warm(cold).values()) == {"unchanged"}


def test_each_restores_what_the_other_computed_or_restored(cold, run_warm, tmp_path: Path) -> None:
    project = cold.copy(tmp_path / "project")
    first, verdict = project.weights(), (project.root / "reports" / "verdict.json").read_bytes()
    project.set(strategies__full__steps=9)
    results = run_warm(project, until="evaluate")
    # It ran: dvc.lock still lists the outputs of the old value, and they must not be taken for those of the new one.
    assert {name for name, outcome in results.items() if outcome == "ran"} == {
        "finetune@full",
        "remedy",
        "select",
        "evaluate",
    }
    second = project.weights()
    assert {path for path in first if first[path] != second[path]} == {"models/target/full/weights.safetensors"}
    trained = project.cells()

    project.set(strategies__full__steps=8)
    assert "Running stage" not in project.run("dvc", "repro").stdout
    assert project.weights() == first
    assert (project.root / "reports" / "verdict.json").read_bytes() == verdict

    project.set(strategies__full__steps=9)
    assert run_warm(project, until="evaluate") == results | {
        "finetune@full": "restored",
        "remedy": "restored",
        "select": "restored",
        "evaluate": "restored",
    }
    assert project.weights() == second
    project.set(strategies__full__steps=8)
    assert set(run_warm(project).values()) == {"unchanged", "restored"}
    assert project.weights() == first
    assert project.cells() == trained, "nothing was trained"
