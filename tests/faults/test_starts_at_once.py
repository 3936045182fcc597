"""Several runs that start in one checkout at once: one trains, the others wait or say who it is."""

import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from typing import Any

import psutil
import pytest
from checks import broken_artifacts, gone, lock_of, mlflow_rows, outcomes, result, running_without_process
from forked import WarmParent, said, trace
from tally import counting

from tasks.workspace import Workspace

STEP = ("finetune", "full")
BUSY = re.compile(r"error: .* is in use by process (\d+) \(.*\); wait for it or stop it, then start again")


class Checkout:
    """A project whose runs have been through, so that one edit makes one step of work."""

    def __init__(self, project: Any, parent: WarmParent):
        self.project, self.root, self.parent = project, project.root, parent
        self.steps = 30

    def together(self, values: list[int], *, patient: list[bool]) -> None:
        """Starts a run for each value at the same time, and looks at what they left."""
        before, runs = len(said(self.root)), self._runs()
        started = {
            self.parent.start(
                self.root, only=[STEP], settings={"strategies.full.steps": value}, patient=wait, workers="fork"
            ): value
            for value, wait in zip(values, patient, strict=True)
        }
        codes = {pid: self.parent.wait(pid, 240) for pid in started}
        words = said(self.root)[before:]
        assert set(codes.values()) <= {0, 3}, words
        assert 0 in codes.values(), words
        assert all(codes[pid] == 0 for pid, wait in zip(started, patient, strict=True) if wait), words
        named = [int(pid) for pid in BUSY.findall(words)]
        assert len(named) == list(codes.values()).count(3), words
        assert set(named) <= set(started), "it names a run that is at work"
        done = outcomes(words)
        trained = [started[pid] for pid, steps in done.items() if steps["finetune@full"] == "ran"]
        assert sorted(trained) == sorted({started[pid] for pid in done}), "each that is trained is trained once"
        assert self._runs() - runs == len(trained), "one MLflow run for each training"
        assert lock_of(self.root)["finetune@full"]["params"]["params.yaml"]["strategies.full"]["steps"] in trained
        assert broken_artifacts(self.root) == []
        assert running_without_process(self.root) == []

    def new_value(self) -> int:
        """A setting that no run has had."""
        self.steps += 1
        return self.steps

    def _runs(self) -> int:
        return len(mlflow_rows(self.root, "select run_uuid from runs where name = 'finetune@full'"))


@pytest.fixture
def checkout(whole, warm_parent, tmp_path) -> Checkout:
    return Checkout(whole.project.copy(tmp_path / "checkout"), warm_parent)


def tries(entry, checkout: Checkout, counts: list[tuple[int, bool]], different: int) -> None:
    """counts: how many start, and whether the last one waits. different: tries of two that want different things."""
    for number, wait in counts:
        entry.tried += 1
        checkout.together([checkout.new_value()] * number, patient=[False] * (number - 1) + [wait])
        entry.held += 1
    for _ in range(different):
        entry.tried += 1
        checkout.together([checkout.new_value(), checkout.new_value()], patient=[True, True])
        entry.held += 1


def test_two_start_at_once(checkout) -> None:
    """The short form, of every `make test`."""
    with counting("a short form of simultaneous starts, in make test") as entry:
        tries(entry, checkout, [(2, False), (4, True)], 0)


# Five times ten tries: how many start, and whether the last one waits; and pairs that want different things.
TEN = (
    ([(2, False)] * 10, 0),
    ([(2, False)] * 6 + [(2, True)] * 4, 0),
    ([(2, True)] * 8 + [(10, True)] * 2, 0),
    ([(10, False)] * 10, 0),
    ([(10, False)] * 2, 8),
)


@pytest.mark.faults
@pytest.mark.parametrize(("counts", "different"), TEN, ids=["two", "two, one waits", "one waits", "ten", "different"])
def test_two_and_ten_start_at_once(checkout, counts, different) -> None:
    with counting("two or ten forked runs start at once in one checkout: one trains, others wait or name it") as entry:
        before = entry.tried
        tries(entry, checkout, counts, different)
        assert entry.tried - before == 10


@pytest.mark.faults
def test_cold_starts_at_once(whole, tmp_path) -> None:
    """`headstart run` as a user starts it, twice the same, two different ones, and ten."""
    project = whole.project.copy(tmp_path / "project")
    flag = "--strategies.full.steps"
    with counting("headstart run starts two and ten times at once, with own processes and Prefect") as entry:
        for values in ([41, 41], [42, 43], [44] * 10):
            entry.tried += 1
            runs = len(mlflow_rows(project.root, "select run_uuid from runs where name = 'finetune@full'"))
            processes = [
                subprocess.Popen(
                    [sys.executable, "-m", "flows.cli", "run", flag, str(value)],
                    cwd=project.root,
                    env=project.env,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                for value in values
            ]
            ended = [(process, *process.communicate(timeout=400)) for process in processes]
            done = [process for process, _, _ in ended if process.returncode == 0]
            assert len(done) == 1, ended
            for process, _, errors in ended:
                if process.returncode:
                    assert process.returncode == 3, errors
                    assert BUSY.findall(errors.replace("\n", " ")) == [str(done[0].pid)], errors
            value = values[processes.index(done[0])]
            after = len(mlflow_rows(project.root, "select run_uuid from runs where name = 'finetune@full'"))
            assert after - runs == 1
            assert lock_of(project.root)["finetune@full"]["params"]["params.yaml"]["strategies.full"]["steps"] == value
            assert project.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."
            assert broken_artifacts(project.root) == []
            entry.held += 1


@pytest.mark.faults
def test_a_frozen_orphan_is_ended_before_the_next_run_begins(fresh, warm_parent, whole) -> None:
    """It does not look for its parent while it is frozen, and would publish if it were woken during the next run."""
    with counting("a worker that is frozen while its run is killed is ended before the next one begins") as entry:
        for _ in range(2):
            entry.tried += 1
            project = fresh()
            pid = warm_parent.start(project.root, eager=True, pause=0.2, workers="forkserver")
            frozen = _freeze_one_at_work(project.root, pid)
            os.kill(pid, signal.SIGKILL)
            warm_parent.wait(pid, 10)
            assert gone([frozen], 3) is None, "it is frozen, and does not see that its run is gone"
            seen = len(trace(project.root))
            second = warm_parent.start(project.root, eager=True, workers="forkserver")
            _until(partial(_at_work_again, project.root, seen), 120)
            assert gone([frozen], 0.1) is not None, "the second run is at work, and the first one's worker could be too"
            assert warm_parent.wait(second, 240) == 0, said(project.root)[-3000:]
            assert result(project.root) == whole.result
            entry.held += 1


def _freeze_one_at_work(root, run: int) -> psutil.Process:
    """Stops a worker that is at a cell, as soon as there is one."""

    def at_work() -> list[int]:
        return [line["pid"] for line in trace(root) if line["pid"] != run and ".rate-" in line["of"]]

    _until(lambda: bool(at_work()), 240)
    worker = psutil.Process(at_work()[-1])
    worker.suspend()
    return worker


def _at_work_again(root, seen: int) -> bool:
    return len(trace(root)) > seen


def _until(true, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.02)


def test_the_workspaces_holder_is_named_and_the_lock_is_free_afterwards(tmp_path) -> None:
    from headstart.errors import BusyError

    workspace = Workspace(tmp_path)
    with workspace.locked(), pytest.raises(BusyError, match=rf"in use by process {os.getpid()} "), workspace.locked():
        pass
    with workspace.locked():
        pass
