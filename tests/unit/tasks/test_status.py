"""`headstart status` in a project of real git and DVC that has not run, and on what a run leaves behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from flows.cli import run_command
from headstart.storage.publish import write_json
from tasks.status import status_of
from tasks.workspace import Workspace


@pytest.fixture(scope="module")
def project(make_project):
    return make_project()


@pytest.fixture
def workspace(project, monkeypatch) -> Workspace:
    monkeypatch.chdir(project.root)
    return Workspace(project.root)


def test_before_the_first_run_every_step_is_to_run(workspace, capsys):
    found = status_of(workspace)
    assert (found.running, found.verdict, found.model, found.current) == (None, None, None, None)
    assert set(found.steps.values()) == {"changed"}
    assert list(found.steps)[-1] == "report"
    assert run_command(["status"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "run:      none is going on"
    assert said[1] == f"steps:    0 of {len(found.steps)} are up to date"
    assert said[-3:] == ["verdict:  none yet", "model:    none yet", "test labels opened: never"]


def test_what_a_run_left_is_told_and_that_it_is_of_an_earlier_one(workspace, capsys):
    write_json(workspace.verdict, {"sentence": "transfer helped: full +1.0 points"})
    write_json(workspace.selection / "selection.json", {"delivered": "models/target/full"})
    write_json(workspace.state / "opened.json", {"sketches": ["a", "b"]})
    assert run_command(["status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "transfer helped: full +1.0 points"
    assert found["model"] == "models/target/full"
    assert found["opened"] == {"sketches": 2}
    assert found["current"] is False
    assert run_command(["status"]) == 0
    said = capsys.readouterr().out
    assert "transfer helped: full +1.0 points (of an earlier run: something changed since)" in said
    assert "test labels opened: sketches for 2 comparisons" in said


def test_a_run_that_goes_on_is_named_and_one_that_was_killed_is_not(workspace, capsys):
    holder = workspace.state / "locks" / "workspace.json"
    with workspace.locked():
        assert status_of(workspace).running.pid == os.getpid()
        assert run_command(["status"]) == 0
        assert f"run:      process {os.getpid()} since " in capsys.readouterr().out
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    write_json(holder, {"pid": process.pid, "command": ["gone"], "started": 1.0})
    assert status_of(workspace).running is None
    write_json(holder, {"pid": os.getpid(), "command": ["another"], "started": psutil.Process().create_time() - 9})
    assert status_of(workspace).running is None  # the number was given to another process since
    holder.unlink()


def test_runs_beside_the_checkout_are_named_by_what_they_run(workspace, capsys):
    """A claim that names a process which is gone is nobody's."""
    from tasks.worktrees import opened

    gone = workspace.state / "worktrees" / "20200101-000000-dead.json"
    with opened(workspace) as worktree:
        write_json(gone, {"pid": os.getpid(), "started": 1.0})
        place = os.path.relpath(worktree.root, workspace.root)
        assert place.startswith(".headstart/worktrees/")
        (maker,) = status_of(workspace).beside.items()
        assert maker[0] == place
        assert maker[1].pid == os.getpid()
        held = {"pid": os.getpid(), "command": ["headstart", "run"], "started": psutil.Process().create_time()}
        write_json(worktree.own / "locks" / "workspace.json", held)
        assert status_of(workspace).beside[place].command == "headstart run"
        assert run_command(["status"]) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[0] == "run:      none is going on in this checkout"
        assert said[1].startswith(f"beside:   process {os.getpid()} since ")
        assert said[1].endswith(f"(headstart run) in {place}")
    gone.unlink()
    assert status_of(workspace).beside == {}


def test_held_devices_are_named(workspace):
    from tasks.devices import Device, lease

    with lease([Device("cpu", 0, "a CPU")], workspace.state / "locks", timeout=0):
        (holder,) = status_of(workspace).devices.values()
        assert holder.pid == os.getpid()
        assert list(status_of(workspace).devices) == ["cpu-0"]
    assert status_of(workspace).devices == {}


def test_while_dvc_is_at_work_the_steps_are_not_known(workspace, capsys, monkeypatch):
    from headstart.errors import BusyError
    from tasks.versioning import Versioning

    def busy(self):
        raise BusyError("a dvc command is at work")

    monkeypatch.setattr(Versioning, "states", busy)
    assert run_command(["status"]) == 0
    assert "steps:    not known while a dvc command is at work" in capsys.readouterr().out


def test_it_imports_nothing_heavy(project):
    code = (
        "import sys, flows.cli\n"
        "code = flows.cli.run_command(['status'])\n"
        "print(code, sorted({'torch', 'mlflow', 'prefect', 'pandas'} & set(sys.modules)), file=sys.stderr)"
    )
    done = project.run(sys.executable, "-c", code)
    assert done.stderr.strip() == "0 []"


def test_outside_a_project_it_says_so(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command(["status"]) == 2
    assert "is not inside a Headstart project" in capsys.readouterr().err
