"""What `headstart serve` starts and in which order it ends; small scripts stand where the servers would."""

import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from unittest.mock import patch

import pytest
from filelock import FileLock

from flows.server import PASSWORDS
from flows.serving import processes, served
from flows.serving.processes import Address, InOrder, serve
from headstart.errors import BusyError, UserError
from tasks.workspace import Workspace

# Notes its end in a file; with a further argument it has a child that does so too.
SCRIPT = """
import signal, subprocess, sys, time
name, notes, *below = sys.argv[1:]
child = subprocess.Popen([sys.executable, __file__, below[0], notes]) if below else None
def end(number, frame):
    with open(notes, "a") as file:
        file.write(name + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("up", name, flush=True)
if child:
    child.wait()
time.sleep(60)
"""


@contextmanager
def handlers_put_back():
    """honcho takes the signals of the process that it runs in."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.fixture
def manager(tmp_path):
    with (tmp_path / "log").open("w") as log, handlers_put_back():
        yield InOrder(log, "http://127.0.0.1:9/api")  # where nothing listens


def add(manager, tmp_path, name, *below):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), name, str(tmp_path / "notes"), *below]
    manager.add(name, command, dict(os.environ), tmp_path)


def when_up(tmp_path, names, then):
    """In a thread: calls `then` once all have said that they are up."""

    def wait():
        log = tmp_path / "log"
        processes._wait_until(lambda: all(f"up {name}\n" in log.read_text() for name in names), 30)
        then()

    Thread(target=wait, daemon=True).start()


def test_runs_end_first_then_the_worker_then_the_servers(manager, tmp_path, capsys):
    add(manager, tmp_path, processes.PREFECT)
    add(manager, tmp_path, processes.WORKER, "run")
    when_up(tmp_path, [processes.PREFECT, processes.WORKER, "run"], lambda: os.kill(os.getpid(), signal.SIGTERM))
    manager.loop()
    assert manager.returncode == 143
    assert (tmp_path / "notes").read_text().split() == ["run", processes.WORKER, processes.PREFECT]
    assert "prefect: up prefect" in (tmp_path / "log").read_text()
    assert capsys.readouterr().out == "", "only the keeper's words are for the terminal"


def test_where_one_ends_by_itself_it_is_named_and_all_are_ended(manager, tmp_path):
    add(manager, tmp_path, processes.PREFECT)
    words = [sys.executable, "-c", "print('no room'); raise SystemExit(4)"]
    manager.add(processes.MLFLOW, words, dict(os.environ), tmp_path)
    manager.loop()
    assert (manager.returncode, manager.failed) == (4, processes.MLFLOW)
    assert "mlflow: no room" in (tmp_path / "log").read_text()


def test_a_words_list_is_no_shells(manager, tmp_path):
    manager.add(processes.KEEPER, [sys.executable, "-c", "import sys; print(sys.argv[1])", "$HOME; ls"], {}, tmp_path)
    manager.loop()
    assert "headstart: $HOME; ls" in (tmp_path / "log").read_text()


def test_a_second_one_that_comes_while_the_first_starts_is_refused(tmp_path):
    (tmp_path / ".headstart" / "locks").mkdir(parents=True)
    with (
        FileLock(tmp_path / ".headstart" / "locks" / "serve.lock"),
        pytest.raises(BusyError, match="another `headstart serve` is just starting or stopping in this project"),
    ):
        serve(Workspace(tmp_path), port=4200, mlflow_port=5000)


def test_one_that_was_killed_holds_nothing_though_its_processes_live_on(tmp_path):
    code = """
import multiprocessing, sys, time
from pathlib import Path
from flows.serving.processes import _alone
with _alone(Path(sys.argv[1])) as alone:
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,), daemon=True)
    child.start()
    print(alone, child.pid, flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        alone, child = killed.stdout.readline().split()
        with processes._alone(tmp_path) as second:
            assert (alone, second) == ("True", False)
        killed.kill()
        killed.wait()
        try:
            assert _comes_free(tmp_path)
        finally:
            os.kill(int(child), signal.SIGKILL)


def _comes_free(state: Path) -> bool:
    """A process lets go of its parent's lock when it first runs, on a busy machine a moment after its start."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with processes._alone(state) as alone:
            if alone:
                return True
        time.sleep(0.05)
    return False


def test_nothing_is_started_where_the_ports_cannot_be_had(tmp_path):
    nobody = {name: "" for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI")}
    same = pytest.raises(UserError, match="--port and --mlflow-port are both 4200")
    with patch.dict(os.environ, nobody), patch("flows.serving.ports._is_free", return_value=True), same:
        serve(Workspace(tmp_path), port=4200, mlflow_port=4200)
    assert not (tmp_path / ".headstart" / processes.LOG).exists()


def test_servers_that_the_user_has_are_used_and_not_started(tmp_path):
    own = {"PREFECT_API_URL": "http://team.example:4200/api", "MLFLOW_TRACKING_URI": "http://team.example:5000/"}
    with patch.dict(os.environ, own):
        address = processes._address(tmp_path, 4200, 5000)
    assert address == Address("http://team.example:4200", "http://team.example:5000", False, False)
    commands = processes._commands(Workspace(tmp_path), address, 5000)
    assert list(commands) == [processes.KEEPER, processes.WORKER]
    assert commands[processes.KEEPER][-1] == "--shared"


def test_its_prefect_server_asks_for_a_password_that_outlives_a_start(tmp_path):
    state, nobody = tmp_path / ".headstart", dict.fromkeys(PASSWORDS, "")
    here, elsewhere = (Address("http://127.0.0.1:4200", "http://127.0.0.1:5000", own, True) for own in (True, False))
    with patch.dict(os.environ, nobody):
        told = processes._environment(state, here)
        password = told["PREFECT_SERVER_API_AUTH_STRING"]
        assert password.startswith("headstart:")
        assert len(password) > 40
        assert told["PREFECT_API_AUTH_STRING"] == password
        file = Path(told[served.PASSWORD_FILE])
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text().strip() == password
        assert processes._environment(state, here)["PREFECT_API_AUTH_STRING"] == password
        assert processes._environment(state, elsewhere)["PREFECT_API_AUTH_STRING"] == ""
    with patch.dict(os.environ, {"PREFECT_SERVER_API_AUTH_STRING": "own:word"}):
        told = processes._environment(state, here)
    assert [told[name] for name in PASSWORDS] == ["own:word", "own:word"]
    assert served.PASSWORD_FILE not in told


def test_all_of_it_listens_on_loopback_alone(tmp_path):
    address = Address("http://127.0.0.1:4200", "http://127.0.0.1:5000", True, True)
    commands = processes._commands(Workspace(tmp_path), address, 5000)
    for name in (processes.PREFECT, processes.MLFLOW):
        assert commands[name][commands[name].index("--host") + 1] == "127.0.0.1"
    assert "--with-healthcheck" not in commands[processes.WORKER], "the worker's own server listens everywhere"


def test_the_ui_asks_its_own_server_whatever_its_port(tmp_path):
    told = processes._environment(
        tmp_path / ".headstart", Address("http://127.0.0.1:4311", "http://127.0.0.1:5311", True, True)
    )
    assert told["PREFECT_SERVER_UI_API_URL"] == "/api"
    assert told["PREFECT_API_URL"] == "http://127.0.0.1:4311/api"
    assert told["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == "http://127.0.0.1:4311"
    assert told["HEADSTART_ROOT"] == str(tmp_path)
    assert told["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert "HEADSTART_PID" not in told, "or a run would sweep the server as one that a killed run left"


def test_a_server_that_is_named_and_silent_is_refused(tmp_path, monkeypatch):
    """Else all of it would wait for it without a word."""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(UserError, match=r"PREFECT_API_URL is http://127\.0\.0\.1:9/api, and no server answers there"):
        serve(Workspace(tmp_path), port=4200, mlflow_port=5000)
