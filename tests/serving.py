"""`headstart serve` as a user starts it, in a small project, and the API of its Prefect server."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from flows.serving.served import Served

TRIES = 20  # of a question
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
TRANSFER = "isolated-transfer/transfer"


class Serving:
    """A `headstart serve` at work in a project, and its API."""

    def __init__(self, project, log: Path):
        self.project, self.log = project, log
        self.ports = [free_port(), free_port()]
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flows.cli", *self.words],
                cwd=project.root,
                env=project.env,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.served = Served(**json.loads(self.until(self._note, 240)))

    @property
    def words(self) -> list[str]:
        return ["serve", "--port", str(self.ports[0]), "--mlflow-port", str(self.ports[1])]

    @property
    def password(self) -> str:
        """What Prefect's server asks for."""
        return Path(self.served.password).read_text().strip()

    def _note(self) -> str:
        path = self.project.root / ".headstart" / "serve.json"
        return path.read_text() if path.is_file() else ""

    def until(self, look, seconds: float):
        """What `look` finds, as soon as that is true; an error with the log after these seconds."""
        end = time.monotonic() + seconds
        while not (found := look()):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.2)
        return found

    def ask(self, method: str, path: str, body: object = None):
        data = None if body is None else json.dumps(body).encode()
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Basic {b64encode(self.password.encode()).decode()}",
        }
        request = Request(self.served.api + path, data, headers, method=method)
        for _ in range(TRIES):
            try:
                with urlopen(request, timeout=60) as answer:
                    text = answer.read()
                    return json.loads(text) if text else None
            except HTTPError as error:  # its database is locked: it asks to be asked again, as its own clients do
                if error.code != 503:
                    raise
            time.sleep(0.5)
        raise AssertionError(f"{path} was not answered in {TRIES} tries")

    def start(self, parameters: object, deployment: str = TRANSFER) -> str:
        """Starts a run as the page's button does; returns its id."""
        number = self.ask("GET", f"/deployments/name/{deployment}")["id"]
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        return self.ask("POST", f"/deployments/{number}/create_flow_run", body)["id"]

    def ended(self, run: str, seconds: float = 400) -> dict:
        """A run once it has ended."""

        def look():
            found = self.ask("GET", f"/flow_runs/{run}")
            return found if found["state_type"] in FINAL else None

        return self.until(look, seconds)

    def runs(self) -> list[dict]:
        """All flow runs, oldest first."""
        return sorted(self.ask("POST", "/flow_runs/filter", {"limit": 100}), key=lambda run: run["created"])

    def below(self, run: str) -> list[dict]:
        """The subflows of a run."""
        tasks = [task["id"] for task in self.of("task_runs", run)]
        return [other for other in self.runs() if other["parent_task_run_id"] in tasks]

    def of(self, what: str, run: str) -> list[dict]:
        """Artifacts, logs or task runs of a flow run."""
        where = {"flow_runs": {"id": {"any_": [run]}}} if what == "task_runs" else {}
        return self.ask("POST", f"/{what}/filter", where or {what: {"flow_run_id": {"any_": [run]}}})

    def stop(self) -> int:
        """Ctrl-C."""
        os.kill(self.process.pid, signal.SIGINT)
        return self.process.wait(timeout=90)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
