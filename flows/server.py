"""Prefect's surroundings: its home in the project's state, quiet, without a word to the outside.

On loopback; where cells run on other machines, on this one's address in their network. Behind a password: other users
of the machine, and pages in its browser, reach loopback too, and whoever reaches the server may have a worker run code.
"""

import logging
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from threading import Lock, Thread

import psutil

from flows import empty_database
from flows.secret_file import read_secret
from flows.serving.served import PAGES, Served, find
from headstart.errors import HeadstartError

log = logging.getLogger("headstart")

TEMPORARY_URL = "HEADSTART_TEMPORARY_URL"  # the address of a server that ends with its run
OWNER = "HEADSTART_PID"  # set in a server's environment: the process that started it

DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "true",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",  # 20 s fail on a busy machine with a fresh home
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "headstart",
    "PREFECT_LOGGING_LOGGERS_PREFECT_LEVEL": "WARNING",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # it prints each error twice, with the stack; its UI has it
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # of each event that it cannot send it prints all there is
    "PREFECT_CLI_PROMPT": "false",
}

LOOPBACK = "127.0.0.1"
PASSWORDS = SERVERS_PASSWORD, CLIENTS_PASSWORD = ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING")
PASSWORD_FILE = "prefect-password"  # nosec B105  # a name, in the state of what `headstart serve` starts
USER = "headstart:"
DELIVERY_SECONDS = 10.0
RESTARTS = 3
TEMPORARY = {
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
}  # as Prefect does


class Server:
    """The Prefect server of one run, in a process of its own; the same command as Prefect's temporary one.

    Prefect starts that one when the flow is called, in 8 to 20 s of waiting; this one comes up while we import.
    Where it dies during the run, another one takes its port and its database; Prefect tries for a minute to reach it.
    """

    def __init__(self, home: Path, port: int, host: str = LOOPBACK):
        self.port = port
        self.host = host
        self.log = home / "server.log"
        self._environment = os.environ | TEMPORARY
        self.process = self._begin()
        self._changing, self._ending = Lock(), False

    @staticmethod
    def start(home: Path, host: str = LOOPBACK) -> "Server":
        """Starts it on a port that is free; what it prints goes to a file in Prefect's home."""
        empty_database.copy_to(home)
        with socket.socket() as free:
            free.bind((host, 0))
            port = free.getsockname()[1]
        return Server(home, port, host)

    def _begin(self) -> "subprocess.Popen[bytes]":
        with self.log.open("wb") as log:
            return subprocess.Popen(
                server_command(self.host, self.port),
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the run, which still tells the server how it ended
            )

    def _keep_up(self) -> None:
        """Starts it again when it dies, as often as RESTARTS says."""
        for _ in range(RESTARTS):
            self.process.wait()
            with self._changing:
                if self._ending:
                    return
                log.warning("Prefect's server ended by itself; another one takes its place")
                self.process = self._begin()

    @property
    def api_url(self) -> str:
        return f"http://{self.host}:{self.port}/api"

    def wait(self) -> None:
        """Returns when it answers.

        Raises:
            HeadstartError: it ended, or does not answer in time; its log is named.
        """
        seconds = float(os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"])
        end = time.monotonic() + seconds
        while not self._answers():
            if self.process.poll() is not None:
                raise HeadstartError(f"Prefect's server ended while it started; {self.log} says why")
            if time.monotonic() > end:
                raise HeadstartError(
                    f"Prefect's server did not answer within {seconds:g} s ({self.log} may say why); give it more by "
                    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS, or stop what else is running"
                )
            time.sleep(0.1)
        Thread(target=self._keep_up, name="Prefect's server", daemon=True).start()

    def stop(self) -> None:
        """Ends it; it has five seconds for what it has not written yet."""
        with self._changing:
            self._ending = True
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        connection = HTTPConnection(self.host, self.port, timeout=5)  # no proxy comes between
        try:
            connection.request("GET", "/api/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


def server_command(host: str, port: int) -> list[str]:
    """The arguments that start Prefect's server; Prefect is not imported here."""
    site = find_spec("prefect").submodule_search_locations[0]  # type: ignore[union-attr, index]
    application = ["--app-dir", str(Path(site).parent), "--factory", "prefect.server.api.server:create_app"]
    address = ["--host", host, "--port", str(port), "--timeout-graceful-shutdown", "1"]
    return [sys.executable, "-m", "uvicorn", *application, *address, "--log-level", "error", "--lifespan", "on"]


def set_up(state: Path) -> None:
    """Prefect's environment, before its first import; what the user set there stands."""
    home = state / "prefect"
    home.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("PREFECT_HOME", str(home))
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    os.environ[OWNER] = str(os.getpid())


@contextmanager
def start_prefect(state: Path, host: str = LOOPBACK) -> Iterator[Server | None]:
    """Starts a server for this run, which ends with it; those that killed runs left are swept.

    host: where it listens. It asks for a password of the run, which other machines get with their cells.

    None where the user has a server (PREFECT_API_URL), a home with profiles that may name one (PREFECT_HOME), or
    `headstart serve` at work in this project: its server shows the run then.
    """
    elsewhere = {"PREFECT_API_URL", "PREFECT_HOME"} & set(os.environ)
    set_up(state)
    sweep_servers(os.environ["PREFECT_HOME"])
    served = None if elsewhere or host != LOOPBACK else find(state)
    if served:
        with _told_of(served):
            yield None
        return
    if elsewhere:
        yield None
        return
    with _told(dict.fromkeys(PASSWORDS, f"{USER}{secrets.token_urlsafe(24)}")):
        server = Server.start(Path(os.environ["PREFECT_HOME"]), host)
        with _told({"PREFECT_API_URL": server.api_url, TEMPORARY_URL: server.api_url}):
            try:
                yield server
            finally:
                _deliver()
                server.stop()


@contextmanager
def _told_of(served: Served) -> Iterator[None]:
    """Prefect and the links to MLflow's pages go to what is served, for the length of the block."""
    password = {CLIENTS_PASSWORD: read_secret(Path(served.password))} if served.password else {}
    with _told({"PREFECT_API_URL": served.api, PAGES: served.mlflow} | password):
        try:
            yield
        finally:
            _deliver()


@contextmanager
def _told(variables: dict[str, str]) -> Iterator[None]:
    """The environment has these variables, for the length of the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def is_temporary() -> bool:
    """Whether the server that runs report to ends with this run, so that nobody will look at its pages."""
    return os.environ.get(TEMPORARY_URL) == os.environ.get("PREFECT_API_URL")


def _deliver() -> None:
    """Waits until the server has the logs and events that Prefect has left; without it, exit would try for a minute."""
    if "prefect" not in sys.modules:
        return
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for service in (APILogWorker, EventsWorker):
        service.drain_all(timeout=DELIVERY_SECONDS)


def sweep_servers(home: str) -> list[int]:
    """Stops ephemeral servers of this home whose run was killed; returns their process ids."""
    swept = []
    for process in psutil.process_iter(["cmdline"]):
        try:
            is_server = "prefect.server.api.server:create_app" in " ".join(process.info["cmdline"] or [])
            if is_server and _is_orphan(process, home):
                process.terminate()
                swept.append(process.pid)
        except psutil.Error:
            continue
    return swept


def _is_orphan(process: psutil.Process, home: str) -> bool:
    """Whether a server of this home has lost the process that started it, and was handed to another parent."""
    environment = process.environ()
    return (
        environment.get("PREFECT_HOME") == home and OWNER in environment and str(process.ppid()) != environment[OWNER]
    )
