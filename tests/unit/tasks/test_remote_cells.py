"""What is sent to another machine, what is checked there, and what comes back; no Ray, but real DVC and real cells."""

import dataclasses
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headstart.cells.grid import Places, budget_jobs
from headstart.cells.job import Job
from headstart.cells.run import is_finished, read_summary, run_cell
from headstart.datasets.ingest import ingest_target
from headstart.errors import IntegrityError, UserError
from headstart.settings import validate, write_default
from headstart.storage.publish import MANIFEST, sha256
from headstart.training.accelerator import Accelerator
from tasks import remote_cells as module
from tasks.devices import Device
from tasks.grid import run_cells
from tasks.remote_cells import OWN_FOLDER, Finished, look, receive, remote_cells, run_remote, versions
from tasks.step import Context
from tasks.versioning import versioning_of
from tasks.workspace import Workspace

DVC = str(Path(sys.executable).with_name("dvc"))
SETTINGS = {
    "data": {"image_size": 12, "smallest_test": 0},
    "finetune": {"label_budget": 4, "curve_budgets": [], "seeds": 2},
    "strategies": {"scratch": {"steps": 4}},
}


@pytest.fixture(scope="module")
def packed(tmp_path_factory, draw_pictures) -> Path:
    """A workspace with a pack under DVC, and a remote beside it. Read only."""
    root = tmp_path_factory.mktemp("packed") / "project"
    settings = validate(SETTINGS, where="test")
    draw_pictures(root / "data" / "shapes", per_class=16)
    with ThreadPoolExecutor(1) as workers:
        ingest_target(
            root / "data" / "shapes",
            root / "packs" / "shapes",
            seed=0,
            settings=settings.data,
            progress=lambda *_: None,
            workers=workers,
        )
    write_default(root / "params.yaml")
    (root / "dvc.yaml").write_text("stages: {}\n")
    for command in (
        ["git", "init", "-q"],
        [DVC, "init", "-q"],
        [DVC, "remote", "add", "-q", "--default", "storage", str(root.parent / "remote")],
        [DVC, "add", "-q", "packs/shapes"],
    ):
        subprocess.run(command, cwd=root, check=True, capture_output=True)
    return root


@pytest.fixture
def root(packed: Path, tmp_path: Path, monkeypatch) -> Iterator[Path]:
    """A copy of it to work in; shared folders show at once what they show."""
    monkeypatch.setattr(module, "SEEN_SECONDS", 0.0)
    monkeypatch.delenv(OWN_FOLDER, raising=False)
    shutil.copytree(packed, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    yield tmp_path / "project"
    versioning_of.cache_clear()


def jobs_in(root: Path) -> list[Job]:
    places = Places(
        pack=root / "packs" / "shapes",
        weights=root / "models" / "source" / "none",
        features=root / "features",
        source_features=root / "features",
        cells=root / ".headstart" / "cells",
    )
    return budget_jobs(validate(SETTINGS, where="test"), "scratch", 4, places, {})


def bytes_of(job: Job) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in job.directory.iterdir() if path.name not in ("cell.json", MANIFEST)
    }


def test_on_a_shared_folder_a_cell_is_the_cell_that_this_machine_makes(root: Path, tmp_path: Path):
    (job, _), (twin, _) = jobs_in(root), jobs_in(root)
    here = dataclasses.replace(twin, cells=str(tmp_path / "here"))
    run_cell(here, Accelerator())
    (sent, _) = remote_cells(root, jobs_in(root), own_folders=False)
    finished = run_remote(pickle.loads(pickle.dumps(sent)), "cpu")
    assert finished.files == {}
    assert is_finished(job)
    assert receive(job, finished) == read_summary(job)
    assert bytes_of(job) == bytes_of(here)
    assert len(bytes_of(job)) >= 4


def test_what_is_sent_names_no_path_of_this_machine_but_the_workspace(root: Path):
    (sent, _) = remote_cells(root, jobs_in(root), own_folders=False)
    assert sent.job.pack == "packs/shapes"
    assert sent.job.cells == ".headstart/cells"
    assert (sent.job.weights, sent.job.features, sent.job.source_pack) == ("", "", ""), "scratch reads nothing of W"
    assert sent.manifests == {"packs/shapes": sha256(root / "packs" / "shapes" / MANIFEST)}
    assert sent.job.key == jobs_in(root)[0].key
    assert sent.remote is None


def test_another_pack_under_the_same_path_is_refused(root: Path):
    (sent, _) = remote_cells(root, jobs_in(root), own_folders=False)
    manifest = root / "packs" / "shapes" / MANIFEST
    manifest.write_text(manifest.read_text() + " ")
    with pytest.raises(UserError, match=f"has no packs/shapes below {root} as the run has it; .* {OWN_FOLDER}"):
        run_remote(sent, "cpu")
    shutil.rmtree(root / "packs")
    with pytest.raises(UserError, match="has no packs/shapes below"):
        run_remote(sent, "cpu")


def test_other_packages_are_refused(root: Path):
    (sent, _) = remote_cells(root, jobs_in(root), own_folders=False)
    older = dataclasses.replace(sent, versions=versions() | {"numpy": "1.0"})
    with pytest.raises(
        UserError, match=rf"has numpy {np.__version__} and not 1\.0, as the run has; .*requirements\.lock"
    ):
        run_remote(older, "cpu")
    with pytest.raises(UserError, match=r"numpy .* and not 1\.0"):
        look(str(root), sha256(root / "params.yaml"), older.versions)


def test_a_machine_with_a_folder_of_its_own_pulls_and_sends_back(root: Path, tmp_path: Path, monkeypatch):
    jobs = jobs_in(root)
    sent = pickle.loads(pickle.dumps(remote_cells(root, jobs, own_folders=True)))
    assert sent[0].remote.name == "storage"
    own = tmp_path / "own"
    monkeypatch.setenv(OWN_FOLDER, str(own))
    hidden = root.rename(tmp_path / "not to be seen")  # the other machine has no such folder
    finished = [run_remote(cell, "cpu") for cell in sent]
    hidden.rename(root)
    assert [path.name for path in (own / "cells").glob("[!.]*")] != []
    assert not is_finished(jobs[0])
    for job, one in zip(jobs, pickle.loads(pickle.dumps(finished)), strict=True):
        assert receive(job, one) == read_summary(job)
        assert is_finished(job)
        twin = dataclasses.replace(job, cells=str(tmp_path / "here"))
        run_cell(twin, Accelerator())
        assert bytes_of(job) == bytes_of(twin)
    gone = dataclasses.replace(sent[0].remote, config={"url": str(tmp_path / "gone")})
    again = run_remote(dataclasses.replace(sent[0], remote=gone), "cpu")
    assert again.summary == finished[0].summary, "what is there is neither pulled nor run again"


def test_a_file_that_was_altered_on_the_way_is_not_taken(root: Path):
    job, _ = jobs_in(root)
    run_cell(job, Accelerator())
    files = {path.name: path.read_bytes() for path in job.directory.iterdir()}
    shutil.rmtree(job.directory)
    with pytest.raises(IntegrityError):
        receive(job, Finished({}, files | {"history.csv": b"step\n"}))
    assert not job.directory.exists()
    receive(job, Finished({}, files))
    assert is_finished(job)


def test_a_cell_that_does_not_show_in_the_shared_folder_is_an_error(root: Path):
    job, _ = jobs_in(root)
    with pytest.raises(IntegrityError, match="scratch, 4 labels a class, seed 0 was published on another machine, but"):
        receive(job, Finished({}))


def test_without_a_remote_of_dvc_it_is_said_what_to_add(root: Path):
    subprocess.run([DVC, "remote", "remove", "-q", "storage"], cwd=root, check=True, capture_output=True)
    with pytest.raises(UserError, match="dvc remote add --default"):
        remote_cells(root, jobs_in(root), own_folders=True)


def test_a_remote_that_cannot_be_reached_from_a_machine_is_an_error(root: Path, tmp_path: Path, monkeypatch):
    (sent, _) = remote_cells(root, jobs_in(root), own_folders=True)
    monkeypatch.setenv(OWN_FOLDER, str(tmp_path / "own"))
    gone = dataclasses.replace(sent.remote, config={"url": str(tmp_path / "gone")})
    with pytest.raises(UserError, match="cannot be pulled from DVC's remote 'storage'"):
        run_remote(dataclasses.replace(sent, remote=gone), "cpu")


def test_a_machine_that_joined_later_with_a_folder_of_its_own_is_said_to_have(root: Path, tmp_path: Path, monkeypatch):
    (sent, _) = remote_cells(root, jobs_in(root), own_folders=False)
    monkeypatch.setenv(OWN_FOLDER, str(tmp_path / "own"))
    with pytest.raises(UserError, match="came to the cluster after the run had begun"):
        run_remote(sent, "cpu")


def test_what_dvc_has_not_recorded_is_not_pushed(root: Path):
    (root / "packs" / "shapes.dvc").unlink()
    with pytest.raises(UserError, match="packs/shapes is no output of a step that DVC has recorded"):
        remote_cells(root, jobs_in(root), own_folders=True)


def test_a_machine_says_which_folder_it_has(root: Path, tmp_path: Path, monkeypatch):
    params = sha256(root / "params.yaml")
    assert look(str(root), params, versions()).folder == ""
    with pytest.raises(UserError, match=r"has no params\.yaml below .*/nowhere as the run has it"):
        look(str(tmp_path / "nowhere"), params, versions())
    with pytest.raises(UserError, match=r"has no params\.yaml below"):
        look(str(root), "another digest", versions())
    monkeypatch.setenv(OWN_FOLDER, str(tmp_path / "own"))
    assert look(str(tmp_path / "nowhere"), params, versions()).folder == str(tmp_path / "own")
    (tmp_path / "file").touch()
    monkeypatch.setenv(OWN_FOLDER, str(tmp_path / "file" / "own"))
    with pytest.raises(UserError, match=f"{OWN_FOLDER} is .* which cannot be made"):
        look(str(root), params, versions())


class Elsewhere:
    """Machines that run cells one after the other, the last first; the rest of a step is real."""

    name = "one machine"
    workers = 3

    def __init__(self) -> None:
        self.given: list[str] = []

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, dict[str, Any]]]:
        for job in reversed(jobs):
            self.given.append(job.name)
            yield job, run_cell(job, Accelerator())


def test_a_step_hands_its_cells_to_the_machines_and_keeps_their_order(root: Path):
    elsewhere, jobs, shown = Elsewhere(), jobs_in(root), []
    context = Context(
        workspace=Workspace(root),
        settings=validate(SETTINGS, where="test"),
        device=Device("cpu", 0, "a CPU"),
        metrics=lambda values, number: shown.append(number),
        progress=lambda what, done, of: None,
        code=lambda name: "",
        machines=elsewhere,
    )
    summaries = run_cells(context, jobs, what="full")
    assert sorted(elsewhere.given) == sorted(job.name for job in jobs)
    assert summaries == [read_summary(job) for job in jobs]
    assert shown == [1, 0]
    assert run_cells(context, jobs, what="full") == summaries
    assert shown == [1, 0, 0, 1], "the step that finds them finished tracks them"
    assert len(elsewhere.given) == 2, "finished cells are not sent again"
