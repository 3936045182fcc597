"""`headstart serve`: Prefect's server and its UI, a worker, and MLflow's pages, all on loopback, ended together.

honcho runs the processes, each in a group of its own; what is ours is the order: runs end before the servers that they
report to.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TextIO

from filelock import FileLock, Timeout
from honcho import manager as honcho
from honcho.manager import SYSTEM_PRINTER_NAME, Manager
from honcho.printer import Message
from honcho.process import Popen

from flows import empty_database
from flows.console import show
from flows.secret_file import random_secret
from flows.server import (
    CLIENTS_PASSWORD,
    LOOPBACK,
    OWNER,
    PASSWORD_FILE,
    SERVERS_PASSWORD,
    TEMPORARY_URL,
    USER,
    server_command,
    set_up,
)
from flows.serving import served
from flows.serving.ports import check_ports
from flows.serving.stopping import end_runs
from headstart.errors import BusyError, HeadstartError, UserError
from tasks.children import end_marked
from tasks.tracking import has_store, store_uri, ui_command
from tasks.workspace import Workspace

POOL = "headstart"
PORT, MLFLOW_PORT = 4200, 5000
KEEPER, PREFECT, MLFLOW, WORKER = "headstart", "prefect", "mlflow", "worker"
MARK = "HEADSTART_SERVES"  # in the environment of every process that serve started, and of theirs: the state's folder
LOG = "serve.log"
STOPPED = (130, 143)
RUNS_SECONDS = 30.0  # that runs have to end in
SERVERS_SECONDS = 10.0
START_SECONDS = 5.0
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Address:
    """Where the two sites are. own_prefect, own_mlflow: they are ours to start, and not servers that the user has."""

    prefect: str
    mlflow: str
    own_prefect: bool
    own_mlflow: bool

    @property
    def api(self) -> str:
        return f"{self.prefect}/api"


def serve(workspace: Workspace, *, port: int | None = None, mlflow_port: int | None = None) -> int:
    """Serves until Ctrl-C or SIGTERM. Returns 0 at once where it is served already, 130 or 143 when it was stopped.

    port, mlflow_port: of Prefect's and of MLflow's pages, PORT and MLFLOW_PORT where none is asked for.

    Raises:
        UserError: a port is taken.
        BusyError: another one is just starting.
        HeadstartError: one of the processes ended by itself; the log is named.
    """
    state = workspace.state
    with _alone(state) as alone:
        if not alone:
            return _say_it_is_up(state, port=port, mlflow_port=mlflow_port)
        port = PORT if port is None else port
        mlflow_port = MLFLOW_PORT if mlflow_port is None else mlflow_port
        end_marked(MARK, str(state.resolve()))  # what is left of a `headstart serve` that was killed
        address = _address(state, port, mlflow_port)
        own = {"--port": (port, address.own_prefect), "--mlflow-port": (mlflow_port, address.own_mlflow)}
        _check_named(address)
        check_ports({flag: number for flag, (number, is_ours) in own.items() if is_ours})
        set_up(state)
        _make_databases(state, address)
        log = state / LOG
        with log.open("w", encoding="utf-8") as file:
            environment = _environment(state, address)
            manager = InOrder(file, environment)
            for name, command in _commands(workspace, address, mlflow_port).items():
                manager.add(name, command, environment, workspace.root)
            show("starting Prefect, a worker and MLflow; Ctrl-C stops all of it")
            try:
                manager.loop()
            finally:
                served.forget(state)
                end_marked(MARK, str(state.resolve()))
    if manager.returncode not in STOPPED:
        raise HeadstartError(f"{manager.failed} ended by itself, so all of it was stopped; {log} says why")
    show("stopped")
    return int(manager.returncode)


def _say_it_is_up(state: Path, *, port: int | None, mlflow_port: int | None) -> int:
    there = served.find(state)
    if not there:
        raise BusyError("another `headstart serve` is just starting or stopping in this project; try again in a minute")
    show(f"it is up already (process {there.pid})", *there.lines())
    for flag, asked, site in (("--port", port, there.prefect), ("--mlflow-port", mlflow_port, there.mlflow)):
        if asked is not None and not site.endswith(f":{asked}"):
            show(f"{flag} {asked} changes nothing while it is up at {site}: stop it there (Ctrl-C), and start it anew")
    return 0


@contextmanager
def _alone(state: Path) -> Iterator[bool]:
    """Whether this process is the one that serves this project; the kernel frees the lock however it dies."""
    (state / "locks").mkdir(parents=True, exist_ok=True)
    lock = FileLock(state / "locks" / "serve.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _address(state: Path, port: int, mlflow_port: int) -> Address:
    """A server that the user names by PREFECT_API_URL or MLFLOW_TRACKING_URI stands; nothing is started for it."""
    api, tracking = os.environ.get("PREFECT_API_URL", ""), store_uri(state)
    away = tracking.startswith(("http://", "https://"))
    return Address(
        prefect=api.rstrip("/").removesuffix("/api") or f"http://{LOOPBACK}:{port}",
        mlflow=tracking.rstrip("/") if away else f"http://{LOOPBACK}:{mlflow_port}",
        own_prefect=not api,
        own_mlflow=not away,
    )


def _check_named(address: Address) -> None:
    """A server that the user names must answer: nobody would see what waits for it.

    Raises:
        UserError: it does not.
    """
    if not address.own_prefect and not served.answers(f"{address.api}/health"):
        raise UserError(
            f"PREFECT_API_URL is {address.api}, and no server answers there; start that one, or unset PREFECT_API_URL "
            "and one is started here"
        )
    if not address.own_mlflow and not served.answers(f"{address.mlflow}/health"):
        raise UserError(
            f"MLFLOW_TRACKING_URI is {address.mlflow}, and no server answers there; start that one, or unset "
            "MLFLOW_TRACKING_URI and one is started here"
        )


def _make_databases(state: Path, address: Address) -> None:
    """Before the servers look for them; MLflow's in a process of its own, for this one is forked by honcho."""
    if address.own_prefect:
        empty_database.copy_to(state / "prefect")
    if address.own_mlflow and not has_store(state):
        subprocess.run([sys.executable, "-m", "flows.serving.keeper", "--tidy", str(state)], check=True)


def _commands(workspace: Workspace, address: Address, mlflow_port: int) -> dict[str, list[str]]:
    """The processes by name, in the order in which they start."""
    python = [sys.executable, "-m"]
    port = int(address.prefect.rpartition(":")[2]) if address.own_prefect else 0
    worker = [*python, "prefect", "worker", "start", "--pool", POOL, "--type", "process", "--install-policy", "never"]
    commands = {PREFECT: server_command(LOOPBACK, port)} if address.own_prefect else {}
    if address.own_mlflow:
        commands[MLFLOW] = ui_command(workspace.state, mlflow_port)
    commands[KEEPER] = [*python, "flows.serving.keeper", str(os.getpid()), address.prefect, address.mlflow]
    commands[KEEPER] += ["--shared"] if not address.own_prefect else []
    commands[WORKER] = [*python, "flows.serving.ready", f"{address.api}/work_pools/{POOL}", *worker]
    return commands


def _environment(state: Path, address: Address) -> dict[str, str]:
    """What every process is told. The page of the UI is on our port, and asks its own server alone."""
    defaults = {
        "PREFECT_UI_ENABLED": "true",
        "PREFECT_SERVER_UI_API_URL": "/api",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": address.prefect,
        "HEADSTART_ROOT": str(state.parent.resolve()),
        "PREFECT_WORKER_QUERY_SECONDS": "2",  # a click is answered soon; by default it takes up to 10
        "PYTHONUNBUFFERED": "1",
    }
    ours = {
        "PREFECT_API_URL": address.api,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        served.PAGES: address.mlflow,
        MARK: str(state.resolve()),
    }
    kept = {name: value for name, value in os.environ.items() if name not in (OWNER, TEMPORARY_URL)}
    return defaults | kept | ours | (_password(state) if address.own_prefect else {})


def _password(state: Path) -> dict[str, str]:
    """What Prefect's server asks for and its clients say: the user's own, or a random one that outlives this start."""
    own = os.environ.get(SERVERS_PASSWORD, "")
    if own:
        return {CLIENTS_PASSWORD: own}
    path = state.resolve() / PASSWORD_FILE
    password = random_secret(path, prefix=USER)
    return {SERVERS_PASSWORD: password, CLIENTS_PASSWORD: password, served.PASSWORD_FILE: str(path)}


class _Printer:
    """Prints our own words; what the others say goes to a file, which is named where one of them fails."""

    width = 0

    def __init__(self, log: TextIO):
        self._log = log

    def write(self, message: Message) -> None:
        if message.name == SYSTEM_PRINTER_NAME:
            return
        data = message.data if isinstance(message.data, str) else message.data.decode("utf-8", "replace")
        for line in data.splitlines():
            if message.name == KEEPER:
                show(line)
            self._log.write(f"{message.time:%H:%M:%S} {message.name}: {line}\n")
        self._log.flush()


class InOrder(Manager):
    """honcho's manager, without a shell, that stops runs, then the worker, then the servers that both report to."""

    def __init__(self, log: TextIO, environment: Mapping[str, str]) -> None:
        """environment: of the worker, by which its runs report to Prefect's server."""
        super().__init__(_Printer(log))
        self._environment = environment
        honcho.KILL_WAIT = 3 * RUNS_SECONDS + 3 * SERVERS_SECONDS  # after which it kills all, whatever they are at

    def add(self, name: str, command: list[str], environment: dict[str, str], folder: Path) -> None:
        """Adds a process."""
        process = self.add_process(name, command, env=environment, cwd=str(folder))
        process._child_ctor = partial(Popen, shell=False)

    @property
    def failed(self) -> str:
        """The process that ended first, by itself."""
        codes = {name: process.get("returncode", 0) for name, process in self._processes.items()}
        return next((name for name, code in codes.items() if code > 0), "a process")

    def terminate(self) -> None:
        """Tells all to end, in order; returns at once, for honcho goes on to read what they print."""
        if not self._terminating:
            self._terminating = True
            Thread(target=self._end_in_order, daemon=True).start()

    def _end_in_order(self) -> None:
        _wait_until(self._all_started, START_SECONDS)  # a Ctrl-C may come before the last one has a number
        pids = {name: process["pid"] for name, process in self._processes.items() if "pid" in process}
        if WORKER in pids:
            end_runs(self._environment, pids[WORKER], seconds=RUNS_SECONDS)
        for names in ((WORKER, KEEPER), (PREFECT, MLFLOW)):
            groups = [pids[name] for name in names if name in pids]
            for group in groups:
                self._procmgr.terminate(group)
            _wait_until(lambda groups=groups: not any(map(_is_there, groups)), SERVERS_SECONDS)
            for group in filter(_is_there, groups):
                self._procmgr.kill(group)


def _wait_until(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(POLL_SECONDS)


def _is_there(group: int) -> bool:
    """Whether a process group has members still."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
