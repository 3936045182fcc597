"""What does not answer is noticed within its stated time, and named: workers, ranks, locks, commands, servers.

They hang for real here: frozen by SIGSTOP, asleep in a read, deaf at a port. The stated times are cut to seconds.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tally import counting

from headstart.errors import BusyError, HeadstartError
from tasks import git, locks, ranks, versioning, workers

HOLD = """
import os, signal, sys
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.fixture
def soon(monkeypatch):
    """Workers and ranks are given up after 3 s of silence instead of minutes, and begin with a new pool."""
    workers.stop()
    for module in (workers, ranks):
        monkeypatch.setattr(module, "SILENT_SECONDS", 3.0)
    yield
    workers.stop()


@pytest.fixture
def frozen():
    """Starts a process that holds a lock file and is frozen."""
    started: list[subprocess.Popen[str]] = []

    def start(path: Path, code: str = HOLD) -> int:
        path.parent.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
            time.sleep(0.01)
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def deaf():
    """A port that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield int(listening.getsockname()[1])


def freeze(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    return number


def read_nothing(path: str) -> bytes:
    """Waits for a disk that does not answer, as far as the system can tell."""
    return Path(path).read_bytes()


def test_a_frozen_worker_is_noticed_and_named(soon, caplog) -> None:
    with counting("a worker that hangs is noticed within 5 minutes, named and ended") as entry:
        entry.tried += 1
        done = []
        began = time.monotonic()
        with (
            caplog.at_level(logging.ERROR, "headstart"),
            pytest.raises(HeadstartError, match=r"a worker process died \(killed, hung"),
        ):
            done += [result for _, result in workers.run_all(freeze, range(3))]
        assert set(done) <= {0, 2}
        assert time.monotonic() - began < 60
        assert "the workers have done nothing for 3 s and are ended: " in caplog.text
        assert "(stopped)" in caplog.text
        entry.held += 1


def test_a_worker_that_waits_for_a_read_is_noticed(soon, tmp_path, caplog) -> None:
    os.mkfifo(tmp_path / "image.png")
    with (
        caplog.at_level(logging.ERROR, "headstart"),
        pytest.raises(HeadstartError, match=r"a worker process died \(killed, hung"),
    ):
        list(workers.run_all(read_nothing, [str(tmp_path / "image.png")]))
    assert "the workers have done nothing for 3 s" in caplog.text


def work(seconds: float) -> float:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return seconds


def test_workers_at_work_are_left_alone_and_idle_ones_too(soon) -> None:
    assert [result for _, result in workers.run_all(work, [7.0])] == [7.0]
    time.sleep(5)
    assert [result for _, result in workers.run_all(work, [0.1])] == [0.1]


class FreezeOne:
    """What ranks do: the second one is frozen, the first waits for it."""

    def __call__(self, accelerator, tell) -> None:
        import torch

        if accelerator.rank == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        torch.distributed.barrier()


@pytest.mark.faults
def test_a_frozen_rank_is_noticed_and_named(soon) -> None:
    with counting("a process of several that train together hangs: noticed within 5 minutes, named, ended") as entry:
        entry.tried += 1
        with pytest.raises(HeadstartError, match=r"have done nothing for 3 s: .*\(stopped\).*they were ended"):
            list(ranks.run_ranks(FreezeOne(), ["cpu", "cpu"]))
        entry.held += 1


def test_a_lock_that_a_frozen_process_holds_is_given_up(frozen, tmp_path) -> None:
    with counting("a lock that does not come free is given up after its stated time, and its holder named") as entry:
        entry.tried += 1
        path = tmp_path / "locks" / "worktrees.lock"
        pid = frozen(path)
        with (
            pytest.raises(BusyError, match=rf"held for 0.5 s by process {pid} .*stopped\), which is making worktrees"),
            locks.held(path, seconds=0.5, what="making worktrees"),
        ):
            pass
        entry.held += 1


def test_a_dvc_command_that_hangs_is_given_up(frozen, tmp_path, monkeypatch) -> None:
    code = HOLD.replace("from filelock import FileLock", "import zc.lockfile").replace(
        "lock = FileLock(sys.argv[1])\nlock.acquire()", "lock = zc.lockfile.LockFile(sys.argv[1])"
    )
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.setattr(versioning, "DVC_SECONDS", 0.5)
    view = versioning.Versioning(tmp_path)
    assert view.changed() == []
    frozen(tmp_path / ".dvc/tmp/lock", code)
    with pytest.raises(BusyError, match=r"a dvc command is at work in .*, and was so for 0.5 s"):
        view.changed()


def test_a_command_that_hangs_is_given_up(tmp_path, monkeypatch) -> None:
    with counting("git that does not end is stopped after 10 minutes, and the call named") as entry:
        entry.tried += 1
        (tmp_path / "git").write_text("#!/bin/sh\nexec sleep 60\n")
        (tmp_path / "git").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setattr(git, "SECONDS", 0.5)
        began = time.monotonic()
        with pytest.raises(git.GitError, match=r"git worktree add did not end within 0.5 s in .* and was stopped"):
            git.git(tmp_path, "worktree", "add", "x")
        assert time.monotonic() - began < 20
        entry.held += 1


@pytest.mark.faults
@pytest.mark.usefixtures("own_mlflow")
def test_an_mlflow_that_does_not_answer_is_left_alone(deaf, tmp_path, monkeypatch, caplog) -> None:
    from tasks.tracking import open_tracking

    with counting("MLflow takes a connection and never answers: given up after 33 s, the run goes on") as entry:
        entry.tried += 1
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{deaf}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        began = time.monotonic()
        tracking = open_tracking(tmp_path)
        tracking.log_metrics(tracking.start_pipeline("key"), {"loss": 1.0})
        assert time.monotonic() - began < 60
        assert f"MLflow at http://127.0.0.1:{deaf} does not answer" in caplog.text
        assert (tmp_path / "mlflow-spool.jsonl").is_file()
        entry.held += 1


@pytest.mark.faults
def test_a_prefect_that_does_not_answer_is_named(deaf, fresh) -> None:
    with counting("Prefect takes a connection and never answers: one line that names it, exit 1") as entry:
        entry.tried += 1
        project = fresh()
        project.env |= {
            "PREFECT_API_URL": f"http://127.0.0.1:{deaf}/api",
            "PREFECT_API_REQUEST_TIMEOUT": "1",
            "PREFECT_CLIENT_MAX_RETRIES": "1",
        }
        done = project.headstart("run", check=False, timeout=300)
        assert done.returncode == 1, done.stderr
        assert "Traceback" not in done.stderr
        assert f"error: Prefect's server at http://127.0.0.1:{deaf}/api does not answer" in done.stderr
        entry.held += 1
