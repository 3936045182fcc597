"""A run whose cells are Prefect tasks on two nodes of Ray ends with the bytes of a run of this machine alone."""

import hashlib
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from headstart.cells.job import SUMMARY
from headstart.storage.publish import MANIFEST

pytestmark = pytest.mark.ray

SAME = ("reports/predictions.parquet", "reports/verdict.json", "models/selection/selection.json")


def cells_of(project) -> dict[str, dict[str, str]]:
    """Digests of the files of each finished cell, by its key; of its summary without the seconds that it took."""
    found = {}
    for folder in (project.root / ".headstart" / "cells").glob("[!.]*"):
        if (folder / SUMMARY).is_file():
            summary = {name: value for name, value in json.loads((folder / SUMMARY).read_text()).items()}
            assert summary.pop("seconds") >= 0
            files = {path.name for path in folder.iterdir()} - {SUMMARY, MANIFEST}
            found[folder.name] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}
            found[folder.name][SUMMARY] = json.dumps(summary, sort_keys=True)
    return found


def task_runs(project) -> dict[str, str]:
    """Prefect's task runs and their states, as its server recorded them."""
    with sqlite3.connect(project.root / ".headstart" / "prefect" / "prefect.db") as database:
        return dict(database.execute("select name, state_type from task_run"))


def expect_equal(project, local) -> None:
    assert len(local.weights()) == 7
    assert project.weights() == local.weights()
    for name in SAME:
        assert (project.root / name).read_bytes() == (local.root / name).read_bytes(), name
    assert len(cells_of(local)) >= 16
    assert cells_of(project) == cells_of(local)


@pytest.fixture(scope="module")
def local(make_project):
    """A project after a run of this machine alone. Read only."""
    project = make_project()
    project.headstart("run")
    return project


@pytest.fixture(scope="module")
def shared(make_project, start_cluster):
    """A project after a run on two nodes that see its folder, and what that said."""
    project = make_project()
    cluster = start_cluster({}, {})
    project.env |= cluster.environment
    done = project.headstart("run", "--ray", cluster.address)
    assert cluster.cells_at_work() == []
    return project, done


def test_on_a_shared_folder_the_bytes_are_those_of_a_local_run(local, shared):
    project, done = shared
    assert "ray: 2 machines of Ray, 2 cells at a time" in done.stdout
    assert "on 2 machines of Ray, 2 at a time" in done.stderr
    expect_equal(project, local)


def test_each_cell_is_a_task_run_that_bears_its_name(shared):
    project, _ = shared
    runs = task_runs(project)
    for name in (
        "scratch, 4 labels a class, seed 1",
        "full, 4 labels a class, seed 0",
        "scratch, 2 labels a class, seed 0",
    ):
        assert runs[name] == "COMPLETED"
    assert set(runs.values()) == {"COMPLETED"}
    assert len([name for name in runs if ", seed " in name]) == len(cells_of(project))


def test_dvc_has_nothing_to_do_afterwards_and_a_local_run_neither(shared):
    project, _ = shared
    assert project.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."
    assert "nothing changed" in project.headstart("run").stdout


def test_machines_with_folders_of_their_own_work_over_dvcs_remote(
    local, make_project, start_cluster, can_hide, tmp_path: Path
):
    """The nodes do not even see the project's folder, where this machine lets one be hidden; through Ray's client."""
    project = make_project()
    remote, folders = tmp_path / "remote", [tmp_path / "node-0", tmp_path / "node-1"]
    project.run("dvc", "remote", "add", "--default", "storage", str(remote))
    cluster = start_cluster(*({"HEADSTART_WORKER_FOLDER": str(folder)} for folder in folders), hidden=project.root)
    project.env |= cluster.environment
    done = project.headstart("run", "--ray", cluster.client_address)
    for folder in folders:
        assert str(folder) in done.stdout
    expect_equal(project, local)
    cells = [{path.name for path in (folder / "cells").glob("[!.]*")} for folder in folders]
    assert all(cells), "both had some"
    assert cells[0] | cells[1] == set(cells_of(local))
    assert list((folders[0] / "inputs").glob("*.dvc")) != []
    shutil.rmtree(remote)


def test_a_machine_with_a_folder_of_its_own_is_refused_where_there_is_no_remote(make_project, start_cluster, tmp_path):
    project = make_project()
    before = (project.root / "params.yaml").read_bytes()
    cluster = start_cluster({"HEADSTART_WORKER_FOLDER": str(tmp_path / "own")})
    project.env |= cluster.environment
    done = project.headstart("run", "--ray", cluster.address, "--finetune.seeds", "3", check=False)
    assert done.returncode == 2
    assert "dvc remote add --default" in done.stderr
    assert "Traceback" not in done.stderr
    assert (project.root / "params.yaml").read_bytes() == before
    assert not (project.root / "packs").exists()


def test_a_machine_that_does_not_see_the_folder_is_refused(make_project, start_cluster, can_hide):
    if not can_hide:
        pytest.skip("no folder can be hidden from a process here (unshare --mount)")
    project = make_project()
    cluster = start_cluster({}, hidden=project.root)
    project.env |= cluster.environment
    done = project.headstart("run", "--ray", cluster.client_address, check=False)
    assert done.returncode == 2
    assert f"has no params.yaml below {project.root} as the run has it" in done.stderr
    assert "HEADSTART_WORKER_FOLDER" in done.stderr
