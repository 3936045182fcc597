"""`headstart run` under Prefect: killed with its servers around it, and servers that die around it."""

import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from checks import (
    broken_artifacts,
    descendants,
    gone,
    leftovers,
    mlflow_rows,
    points_twice,
    result,
    running_without_process,
)
from serving import free_port
from tally import counting

from flows.server import server_command

pytestmark = pytest.mark.faults

SERVER = "prefect.server.api.server:create_app"
OPEN = ("RUNNING", "PENDING", "CANCELLING")
LAST_WORDS = "runs:   make ui"


def start(project: Any, env: dict[str, str] | None = None) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "run"],
        cwd=project.root,
        env=project.env | {"PREFECT_CLIENT_MAX_RETRIES": "5"} | (env or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def states(home: Path) -> list[str]:
    """Of the flow runs in a Prefect server's database."""
    path = home / "prefect.db"
    if not path.is_file():
        return []
    with closing(sqlite3.connect(path, timeout=60)) as database:
        found = []
        for table in ("flow_run", "task_run"):
            found += [state for (state,) in database.execute(f"select state_type from {table}").fetchall()]
    return found


def begun(project: Any, step: str) -> bool:
    return bool(mlflow_rows(project.root, f"select 1 from runs where name = '{step}'"))


def recorded(project: Any, step: str) -> bool:
    """Whether DVC has the step's result: it is tagged then."""
    tagged = "select 1 from runs r join tags t on r.run_uuid = t.run_uuid"
    return bool(mlflow_rows(project.root, f"{tagged} where r.name = '{step}' and t.key = 'headstart.result'"))


def until(true, process: "subprocess.Popen[str] | None" = None, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.02)


def versions(project: Any) -> int:
    return len(mlflow_rows(project.root, "select version from model_versions"))


def test_a_flow_that_is_killed_goes_on(fresh, whole) -> None:
    draw = random.Random(8)
    project = fresh()
    home = project.root / ".headstart/prefect"
    # What is waited for, and who is killed a moment later. The last one has nothing left that DVC would see.
    moments = [
        (lambda: (home / "server.log").is_file(), "group"),
        (lambda: begun(project, "pretrain@shapes"), "parent"),
        (lambda: begun(project, "finetune@scratch"), "worker"),
        (lambda: begun(project, "finetune@full"), "parent"),
        (lambda: recorded(project, "report"), "group"),
    ]
    with counting("kill -9 of headstart run under Prefect: the next one goes on, and closes what stood open") as entry:
        for reached, victim in moments:
            entry.tried += 1
            process = start(project)
            until(reached, process)
            if victim != "group":
                time.sleep(draw.uniform(0, 1.0))
            below = descendants(process.pid)
            workers = [child for child in below if SERVER not in " ".join(child.cmdline())]
            if victim == "group":
                os.killpg(process.pid, signal.SIGKILL)
            elif victim == "worker" and len(workers) > 1:
                workers[-1].kill()
            else:
                process.kill()
            process.communicate(timeout=240)
            assert broken_artifacts(project.root) == []
            assert gone(workers, 5) is not None, "workers outlive their run"
            entry.held += 1
        entry.tried += 1
        assert versions(project) == 0, "the last kill came too late to show anything"
        last = start(project)
        out, err = last.communicate(timeout=400)
        assert last.returncode == 0, err
        assert out.splitlines()[-1] == LAST_WORDS
        assert "headstart-sketches, version 1" in out, "a run that was killed before it could register does it now"
        assert versions(project) == 1
        assert result(project.root) == whole.result
        assert leftovers(project.root) == []
        assert running_without_process(project.root) == []
        assert mlflow_rows(project.root, "select 1 from runs where status = 'RUNNING'") == []
        assert points_twice(project.root) == []
        assert [state for state in states(home) if state in OPEN] == []
        assert project.headstart("run").stdout.startswith("nothing changed")
        entry.held += 1


def server_of(process: "subprocess.Popen[str]") -> psutil.Process:
    (found,) = [child for child in descendants(process.pid) if SERVER in " ".join(child.cmdline())]
    return found


def test_a_server_of_the_runs_own_that_dies_is_started_again(fresh, whole) -> None:
    project = fresh()
    with counting(
        "a run's own Prefect server dies twice: it is started again, and the run goes on to its verdict"
    ) as entry:
        entry.tried += 1
        process = start(project)
        for step in ("pretrain@shapes", "finetune@full"):
            until(lambda step=step: begun(project, step), process)
            server_of(process).kill()
        out, err = process.communicate(timeout=400)
        assert process.returncode == 0, err
        assert out.splitlines()[-1] == LAST_WORDS
        assert err.count("Prefect's server ended by itself; another one takes its place") == 2
        assert "Traceback" not in err
        assert result(project.root) == whole.result
        assert [state for state in states(project.root / ".headstart/prefect") if state in OPEN] == []
        entry.held += 1


class External:
    """A Prefect server that somebody else runs."""

    def __init__(self, home: Path):
        self.home, self.port = home, free_port()
        home.mkdir()
        self.env = {"PREFECT_API_URL": f"http://127.0.0.1:{self.port}/api"}
        self.up()

    def up(self) -> None:
        from flows import empty_database
        from flows.server import DEFAULTS, TEMPORARY

        empty_database.copy_to(self.home)
        own = {name: text for name, text in os.environ.items() if not name.startswith("PREFECT_")}
        self.process = subprocess.Popen(
            server_command("127.0.0.1", self.port),
            env=own | DEFAULTS | TEMPORARY | {"PREFECT_HOME": str(self.home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._listens, seconds=120)

    def down(self) -> None:
        self.process.kill()
        self.process.wait()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def external(tmp_path):
    server = External(tmp_path / "home")
    yield server
    server.down()


def test_a_server_elsewhere_that_dies(fresh, whole, external) -> None:
    project = fresh()
    with counting(
        "a Prefect server elsewhere dies: back within a minute, the run goes on; else one line, and it resumes"
    ) as entry:
        entry.tried += 1  # it stays away
        process = start(project, external.env | {"PREFECT_CLIENT_MAX_RETRIES": "1"})
        until(lambda: begun(project, "pretrain@shapes"), process)
        external.down()
        out, err = process.communicate(timeout=400)
        assert process.returncode == 1, err
        assert "Traceback" not in err
        (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
        assert line.startswith(f"error: Prefect's server at {external.env['PREFECT_API_URL']} does not answer any more")
        assert mlflow_rows(project.root, "select 1 from runs where status = 'RUNNING'") == []
        assert broken_artifacts(project.root) == []
        external.up()
        assert [state for state in states(external.home) if state in OPEN] != [], "nobody could close it"
        entry.held += 1
        entry.tried += 1  # it comes back
        process = start(project, external.env)
        until(lambda: begun(project, "finetune@full"), process)
        external.down()
        time.sleep(3)
        external.up()
        out, err = process.communicate(timeout=400)
        assert process.returncode == 0, err
        assert out.splitlines()[-1] == LAST_WORDS
        assert result(project.root) == whole.result
        assert [state for state in states(external.home) if state in OPEN] == []
        entry.held += 1


def test_an_mlflow_server_that_dies_and_comes_back(fresh, whole, warm_parent, tmp_path) -> None:
    """Training goes on; what was measured meanwhile waits in a file, and arrives."""
    project, port = fresh(), free_port()
    database = project.root / ".headstart/mlflow.db"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{database}", "--artifacts-destination", str(tmp_path / "artifacts")]

    def up() -> "subprocess.Popen[bytes]":
        from tasks.tracking import ENVIRONMENT

        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=project.env | ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(listens, seconds=120)
        return process

    def down(process: "subprocess.Popen[bytes]") -> None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    with counting("an MLflow server dies during a run and comes back: training goes on, all of it arrives") as entry:
        entry.tried += 1
        (project.root / ".headstart").mkdir(exist_ok=True)
        server = up()
        uri = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
        run = warm_parent.start(project.root, eager=True, pause=0.02, env=uri)
        until(lambda: begun(project, "pretrain@shapes"))
        down(server)
        assert warm_parent.wait(run, 240) == 0
        assert result(project.root) == whole.result
        spool = project.root / ".headstart/mlflow-spool.jsonl"
        assert spool.is_file()
        server = up()
        try:
            assert warm_parent.run(project.root, eager=True, env=uri) == 0
        finally:
            down(server)
        assert not spool.exists()
        assert mlflow_rows(project.root, "select 1 from runs where status != 'FINISHED'") == []
        losses = "select count(*) from metrics m join runs r on m.run_uuid = r.run_uuid"
        losses += " where r.name = 'pretrain@shapes' and m.key = 'train.loss'"
        assert mlflow_rows(project.root, losses) == [(30,)], "one point an epoch"
        assert points_twice(project.root) == []
        entry.held += 1
