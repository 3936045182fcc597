"""A run on a team's services: what changes for it is an address each and a DVC remote."""

import json
from pathlib import Path

import pytest

from tests.services.conftest import BUCKET, KEYS, client

pytestmark = pytest.mark.services


def cloned(project, folder: Path):
    """A colleague's clone of the project, with access to the same services."""
    project.run("git", "clone", "-q", str(project.root), str(folder))
    clone = type(project)(folder)
    clone.env |= {name: value for name, value in project.env.items() if name != "PYTHONPATH"}
    return clone


@pytest.fixture(scope="module")
def project(make_project, team, storage):
    """A project after a run on the services, its data and results pushed to S3. Read only."""
    project = make_project()
    project.env |= team | KEYS
    project.run("dvc", "remote", "add", "--default", "storage", f"s3://{BUCKET}/dvc")
    project.run("dvc", "remote", "modify", "storage", "endpointurl", storage)
    project.run("git", "commit", "-qam", "a remote")
    project.headstart("run", timeout=600)
    project.run("dvc", "push", "-q")
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "a run")
    return project


def test_prefect_has_the_run_in_postgresql(project, postgres):
    assert postgres.ask("prefect", "select state_type from flow_run where name = 'shapes to sketches'") == [
        ("COMPLETED",)
    ]
    states = {state for (state,) in postgres.ask("prefect", "select state_type from task_run")}
    assert states == {"COMPLETED"}
    assert not (project.root / ".headstart" / "prefect" / "prefect.db").exists()


def test_mlflow_has_the_tree_of_runs_in_postgresql_and_its_files_in_s3(project, postgres, storage):
    runs = dict(postgres.ask("mlflow", "select name, status from runs"))
    assert {"shapes -> sketches", "finetune@full", "evaluate"} <= set(runs)
    assert set(runs.values()) == {"FINISHED"}
    kept = [row["Key"] for row in client(storage).list_objects_v2(Bucket=BUCKET, Prefix="mlflow/")["Contents"]]
    assert any(name.endswith("weights.safetensors") for name in kept)
    assert any(name.endswith("report.html") for name in kept)
    assert not (project.root / ".headstart" / "mlflow.db").exists()


def test_the_registered_model_predicts_from_the_server(project, tmp_path: Path):
    picture = next((project.root / "data" / "sketches").rglob("*.png"))
    out = tmp_path / "predictions.csv"
    project.headstart("predict", "headstart-sketches", str(picture), "--out", str(out))
    assert len(out.read_text().splitlines()) == 2


def test_with_a_wrong_password_the_run_says_what_to_set(project, make_project):
    other = make_project()
    other.env |= project.env | {"MLFLOW_TRACKING_PASSWORD": "wrong"}
    done = other.headstart("run", check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "MLFLOW_TRACKING_PASSWORD" in done.stderr


def test_a_colleagues_clone_pulls_everything_and_has_nothing_to_do(project, tmp_path: Path):
    clone = cloned(project, tmp_path / "clone")
    clone.run("dvc", "pull", "-q")
    assert "nothing changed" in clone.headstart("run").stdout
    assert clone.weights() == project.weights()
    verdict = json.loads((clone.root / "reports" / "verdict.json").read_text())
    assert verdict == json.loads((project.root / "reports" / "verdict.json").read_text())


def test_a_remote_in_a_folder_serves_as_well(project, tmp_path: Path):
    first, remote = cloned(project, tmp_path / "first"), tmp_path / "remote"
    first.run("dvc", "pull", "-q")
    first.run("dvc", "remote", "add", "--default", "folder", str(remote))
    first.run("dvc", "push", "-q")
    assert list((remote / "files" / "md5").glob("*/*"))
    second = cloned(project, tmp_path / "second")
    second.run("dvc", "remote", "add", "--default", "folder", str(remote))
    second.run("dvc", "pull", "-q")
    assert second.weights() == project.weights()
