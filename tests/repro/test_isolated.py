"""Runs in worktrees of their own: side by side, with their own code, each an experiment of DVC; and one made again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tasks import experiments, record
from tasks.git import commit_of, git
from tasks.workspace import Workspace
from tasks.worktrees import sweep

pytestmark = pytest.mark.scenario

DRIVER = """
import json, sys
from dataclasses import asdict
from flows.isolated import run_isolated
from tasks.workspace import here

given = json.loads(sys.argv[1])
ran = run_isolated(here(), given.pop("overrides"), **given, on_line=lambda line: print(line, flush=True))
print(json.dumps(asdict(ran), default=str), flush=True)
"""
BROKEN = "\nraise RuntimeError('the code of the checkout')\n"
SETTINGS = {"first": {"strategies.scratch.steps": "14"}, "second": {"finetune.seeds": "3"}}


def start(project, **given: object) -> "subprocess.Popen[str]":
    """Starts an isolated run as a worker would: in a process of its own, with the checkout's code."""
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, json.dumps({"overrides": {}} | given)],
        cwd=project.root,
        env=project.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> tuple[dict[str, object], list[str]]:
    said = process.communicate(timeout=400)[0].splitlines()
    assert process.returncode == 0, "\n".join(said)
    return json.loads(said[-1]), said[:-1]


def worktrees(project) -> list[str]:
    return [path.name for path in (project.root / ".headstart" / "worktrees").glob("[!.]*")]


def edit(project) -> Path:
    """An edit of the checkout that no commit has, and with which no run comes far."""
    path = project.root / "tasks" / "ingest.py"
    path.write_text(path.read_text() + BROKEN)
    return path


@pytest.fixture(scope="module")
def project(make_project):
    return make_project(finetune__strategies=["source", "scratch", "linear_probe"])


@pytest.fixture(scope="module")
def both(project) -> dict[str, dict[str, object]]:
    """Two runs of HEAD at once, with different settings, while the checkout's own code is broken."""
    edited = edit(project)
    processes = {name: start(project, overrides=overrides, name=name) for name, overrides in SETTINGS.items()}
    results = {name: finish(process)[0] for name, process in processes.items()}
    assert git(project.root, "status", "--porcelain") == " M tasks/ingest.py", "the checkout is as it was"
    edited.write_text(edited.read_text().removesuffix(BROKEN))
    return results


@pytest.fixture
def parents(project):
    """MLflow's pipeline runs of the project, by the experiment that they became."""
    return {run.tags[record.NAME]: run for _, run in record._pipelines(Workspace(project.root))}


def test_two_at_once_each_become_an_experiment_of_their_own(project, both, parents) -> None:
    for name, ran in both.items():
        assert ran["outcome"] == "ran"
        assert (ran["experiment"], ran["exit_code"]) == (name, 0)
        assert "transfer helped" in str(ran["verdict"])
        assert Path(str(ran["report"])) == project.root / ".headstart" / "reports" / name / "report.html"
        assert Path(str(ran["report"])).stat().st_size > 10_000
        assert parents[name].status == "FINISHED"
        assert parents[name].tags[record.EDITED] == "", "settings are no edits of code"
    assert sorted(project.run("dvc", "exp", "list", "--name-only").stdout.split()) == ["first", "second"]
    rows = project.run("dvc", "exp", "show", "--csv", "--only-changed").stdout.splitlines()
    table = [dict(zip(rows[0].split(","), row.split(","), strict=False)) for row in rows[1:]]
    shown = {row["Experiment"]: (row["strategies.scratch.steps"], row["finetune.seeds"]) for row in table}
    assert shown["first"] == ("14", "2")
    assert shown["second"] == ("12", "3")
    assert all(row["gain"] for row in table if row["Experiment"])
    assert worktrees(project) == []
    assert not (project.root / ".headstart" / "prefect").exists(), "a run's own server goes with its worktree"


def test_after_apply_dvc_has_nothing_to_do(project, both) -> None:
    project.run("dvc", "exp", "apply", "second")
    assert project.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."
    assert "Running stage" not in project.run("dvc", "repro").stdout
    verdict = json.loads((project.root / "reports" / "verdict.json").read_text())
    assert verdict["sentence"] == both["second"]["verdict"]
    assert verdict["seeds"] == 3
    project.run("git", "checkout", "-q", "--", "params.yaml")
    (project.root / "dvc.lock").unlink()


def test_unchanged_data_end_in_seconds_and_make_no_experiment(project, both) -> None:
    began = time.monotonic()
    ran, said = finish(start(project, overrides=SETTINGS["first"]))
    assert (ran["outcome"], ran["experiment"], ran["verdict"]) == ("nothing changed", "first", both["first"]["verdict"])
    assert time.monotonic() - began < 30
    assert not [line for line in said if "cell" in line]
    assert sorted(experiments.experiments(project.root)) == ["first", "second"]


def test_edits_come_along_only_where_asked(project, both) -> None:
    edited = edit(project)
    ran, said = finish(start(project, uncommitted=True))
    edited.write_text(edited.read_text().removesuffix(BROKEN))
    assert ran["exit_code"] != 0
    assert ran["report"] is None
    assert any("the code of the checkout" in line for line in said)
    assert sorted(experiments.experiments(project.root)) == ["first", "second"]


def test_a_killed_run_ends_and_its_worktree_is_swept(project, both) -> None:
    process = start(project, overrides={"seed": "5"})
    assert process.stdout is not None
    line = ""
    while "ingest_target:" not in line:
        line = process.stdout.readline()
        assert line, "it ended before its first step"
    (place,) = (name for name in worktrees(project) if not name.endswith(".json"))
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive, "nothing outlives the process that asked for it"
    assert place in worktrees(project)
    assert sweep(Workspace(project.root)) == [place]
    assert worktrees(project) == []
    assert len(git(project.root, "worktree", "list").splitlines()) == 1


def test_a_run_made_again_has_the_same_bytes_and_a_tampered_record_is_told(project, both, parents) -> None:
    """All steps are computed once more; the record of one of them says something else than what was computed."""
    workspace = Workspace(project.root)
    recipe = record.find(workspace, parents["first"].run_id[:8])
    assert recipe == record.find(workspace, "first")
    assert recipe.device.startswith(("cpu ", "cuda ", "mps "))
    path = "reports/verdict.json"
    lock = recipe.lock.replace(recipe.lock.split(f"path: {path}")[1].split("md5: ")[1].split()[0], "f" * 32)
    git(project.root, "read-tree", "-u", "--reset", recipe.revision)
    (project.root / "dvc.lock").write_text(lock)
    base = commit_of(project.root, "HEAD")
    experiments.save(project.root, base=base, name="tampered", message="tampered")
    git(project.root, "read-tree", "-u", "--reset", "HEAD")
    cells = project.cells()
    done = project.headstart("reproduce", "tampered", check=False, timeout=600)
    assert done.returncode == 1, done.stderr
    table = {line.split()[0]: line.split(None, 3)[3] for line in done.stdout.splitlines()[1:-1]}
    assert table.pop("evaluate") == f"differs: {path}"
    assert set(table.values()) == {"same"}
    assert {"ingest_target", "pretrain@shapes", "extract", "finetune@scratch", "finetune@linear_probe"} < set(table)
    words = f"1 of {len(table) + 1} steps differ"
    assert done.stdout.splitlines()[-1].startswith("experiment tampered is NOT reproduced, byte for byte on cpu ")
    assert done.stdout.splitlines()[-1].endswith(words)
    assert project.cells() == cells, "finished cells were neither used nor made"
    assert git(project.root, "status", "--porcelain") == ""
