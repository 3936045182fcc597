"""How runs of a worker are ended: cancelled through the server's API, and by SIGTERM where that does not do."""

import json
import os
import subprocess
import sys
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import psutil
import pytest

from flows.serving.stopping import RUN, WORDS, end_runs

SAID = "headstart:a password of this test"  # which the server asks for
WORKER = """
import os, subprocess, sys, time
name, *runs = sys.argv[1:]
sleep = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
children = [subprocess.Popen(sleep, env=os.environ | {name: run}, stdout=subprocess.PIPE) for run in runs]
for child in children:
    child.stdout.readline()
print(*(child.pid for child in children), flush=True)
for child in children:
    child.wait()
time.sleep(60)
"""


class Api(BaseHTTPRequestHandler):
    """A server with runs whose worker does as it is told; `finished` ends by itself as it is cancelled."""

    states: dict[str, str]
    heard: list[tuple[str, str, bool]]
    processes: dict[str, int]
    deaf = False
    locked = 0  # how often it asks to be asked again

    def do_GET(self) -> None:
        if self._is_refused():
            return
        self._answer({"state_type": self.states[self.path.split("/")[3]]})

    def do_POST(self) -> None:
        run = self.path.split("/")[3]
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._is_refused():
            return
        assert asked["state"]["message"] == WORDS
        self.heard.append((run, asked["state"]["type"], asked["force"]))
        self.states[run] = "COMPLETED" if run == "finished" else asked["state"]["type"]
        if asked["state"]["type"] == "CANCELLING" and not self.deaf:
            psutil.Process(self.processes[run]).kill()
        self._answer({"status": "ACCEPT"})

    def _is_refused(self) -> bool:
        if self.headers["Authorization"] != f"Basic {b64encode(SAID.encode()).decode()}":
            self.send_response(401)
            self.end_headers()
            return True
        type(self).locked -= 1
        if self.locked < 0:
            return False
        self.send_response(503)
        self.end_headers()
        return True

    def _answer(self, said: object) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def worker():
    """Starts a process with a child for each of some runs; its number, and theirs."""
    started = []

    def start(*runs: str) -> tuple[int, dict[str, int]]:
        words = [sys.executable, "-c", WORKER, RUN, *runs]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        started.append(process)
        pids = map(int, process.stdout.readline().split())
        return process.pid, dict(zip(runs, pids, strict=True))

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def server():
    Api.heard, Api.deaf, Api.locked = [], False, 0
    with HTTPServer(("127.0.0.1", 0), Api) as found:
        Thread(target=found.serve_forever, daemon=True).start()
        yield {"PREFECT_API_URL": f"http://127.0.0.1:{found.server_port}/api", "PREFECT_API_AUTH_STRING": SAID}
        found.shutdown()


def alive(pids: dict[str, int]) -> list[str]:
    return [run for run, pid in pids.items() if psutil.pid_exists(pid)]


def test_runs_are_cancelled_and_one_that_ended_meanwhile_stands(worker, server):
    pid, pids = worker("long", "finished")
    Api.processes, Api.states = pids, dict.fromkeys(pids, "RUNNING")
    end_runs(server, pid, seconds=20)
    assert alive(pids) == []
    assert Api.states == {"long": "CANCELLED", "finished": "COMPLETED"}
    assert sorted(Api.heard) == [
        ("finished", "CANCELLING", False),
        ("long", "CANCELLED", True),
        ("long", "CANCELLING", False),
    ]
    assert psutil.pid_exists(pid), "the worker is for the caller to end"


def test_what_does_not_end_gets_a_signal(worker, server):
    pid, pids = worker("long")
    Api.processes, Api.states, Api.deaf = pids, {"long": "RUNNING"}, True
    end_runs(server, pid, seconds=1)
    assert alive(pids) == []
    assert Api.states == {"long": "CANCELLED"}


def test_one_that_calls_itself_crashed_at_the_signal_is_cancelled_all_the_same(worker, server, monkeypatch):
    pid, pids = worker("long")
    Api.processes, Api.states, Api.deaf = pids, {"long": "RUNNING"}, True
    end = psutil.Process.terminate

    def crash(process):
        end(process)
        Api.states["long"] = "CRASHED"

    monkeypatch.setattr(psutil.Process, "terminate", crash)
    end_runs(server, pid, seconds=1)
    assert Api.states == {"long": "CANCELLED"}


def test_a_server_whose_database_is_refused_is_asked_again(worker, server):
    pid, pids = worker("long")
    Api.processes, Api.states, Api.locked = pids, {"long": "RUNNING"}, 3
    end_runs(server, pid, seconds=20)
    assert Api.states == {"long": "CANCELLED"}
    assert [kind for _, kind, _ in Api.heard] == ["CANCELLING", "CANCELLED"]


def test_without_a_server_they_get_a_signal_at_once(worker):
    pid, pids = worker("long")
    end_runs({"PREFECT_API_URL": "http://127.0.0.1:9/api"}, pid, seconds=20)
    assert alive(pids) == []


def test_a_worker_that_is_gone_has_none(server):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    end_runs(server, process.pid, seconds=20)
    assert Api.heard == [], "nothing is asked of a server for no run"
