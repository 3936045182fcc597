"""Cells on other machines: each is a Prefect task that prefect-ray's RayTaskRunner sends to a Ray cluster.

The connection is made before the flow starts and ends with it. Ray carries this checkout's code to the machines, so
that they need its packages alone; tasks/remote_cells.py says what a machine must see. Extra `[ray]`.
"""

import os
import secrets
import signal
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flows
import headstart
import tasks
from flows.console import show
from flows.server import DEFAULTS
from headstart.errors import HeadstartError, UserError
from tasks.workers import cores

if TYPE_CHECKING:
    from headstart.cells.job import Job
    from tasks.remote_cells import Finished, RemoteCell, Seen
    from tasks.workspace import Workspace

LOCAL = "local"
RETRIES = 3  # times that a cell is started anew after its machine or its worker died
CONNECT_SECONDS = 10.0
LOOK_SECONDS = 180.0  # a machine unpacks the code and imports torch from a cold disk
ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

machines: ContextVar["RayMachines | None"] = ContextVar("machines", default=None)


@dataclass(frozen=True)
class RayMachines:
    """The machines of a Ray cluster, as tasks/step.py has `Machines`.

    seen: what each machine that takes cells said of itself. workers: cells at a time. device: what a cell runs on,
    a GPU where the cluster has any. address: this machine's, where others must reach it; "" where there are none.
    """

    workspace: "Workspace"
    seen: tuple["Seen", ...]
    workers: int
    device: str
    address: str

    @property
    def name(self) -> str:
        return f"{len(self.seen)} machine{'s' * (len(self.seen) != 1)} of Ray"

    def run(self, jobs: Sequence["Job"]) -> Iterator[tuple["Job", dict[str, Any]]]:
        """Runs each job as a task run of the flow's RayTaskRunner.

        Raises:
            HeadstartError: a cell's machines died again and again.
            UserError, IntegrityError: see tasks/remote_cells.py.
        """
        import ray
        from prefect_ray.context import remote_options

        from tasks.remote_cells import receive, remote_cells

        sent = remote_cells(self.workspace.root, jobs, own_folders=any(seen.folder for seen in self.seen))
        waiting: dict[Future[Any], tuple[Job, Any]] = {}
        try:
            with remote_options(num_cpus=1, num_gpus=int(self.device != "cpu"), max_retries=RETRIES):
                for job, cell in zip(jobs, sent, strict=True):
                    future = _cell().submit(job.name, cell, self.device)
                    waiting[future.wrapped_future.future()] = job, future
            while waiting:
                for done in wait(waiting, return_when=FIRST_COMPLETED).done:  # ray.wait garbles our SIGTERM's exception
                    job, future = waiting.pop(done)
                    yield job, receive(job, _result(job, future))
        finally:
            for _, future in waiting.values():
                ray.cancel(future.wrapped_future, force=True)


@contextmanager
def connected(address: str, workspace: "Workspace") -> Iterator[RayMachines]:
    """A cluster, for the length of the block: the one at `address`, or one of this machine's cores ("local").

    Raises:
        UserError: the extra is missing, nothing answers at the address, or a machine could not run cells.
    """
    _check_extra()
    _check_reached(address)
    with _own_token(address), _connection(address):
        found = _machines(workspace)
        show(f"ray: {found.name}, {found.workers} cells at a time: {_listed(found.seen)}")
        token = machines.set(found)
        try:
            yield found
        finally:
            machines.reset(token)


def task_runner() -> Any:
    """The runner of a flow whose cells go to the cluster that this process is connected to."""
    from prefect_ray import RayTaskRunner

    return RayTaskRunner()  # finds the connection that is there, and leaves it open


def _cell() -> Any:
    """The Prefect task that a cell is."""
    from prefect import task
    from prefect.cache_policies import NO_CACHE

    @task(name="cell", task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False)
    def cell(name: str, cell: "RemoteCell", device: str) -> "Finished":
        """One cell, on whichever machine Ray gives it."""
        from tasks.remote_cells import run_remote

        return run_remote(cell, device)

    return cell


def _result(job: "Job", future: Any) -> "Finished":
    from ray.exceptions import RayError

    try:
        return future.result()  # type: ignore[no-any-return]
    except RayError as error:
        raise HeadstartError(
            f"{job.name} was lost {RETRIES + 1} times, for its worker or its machine died (out of memory, or switched "
            f"off): {_first_line(error)}; finished cells are kept, run again to go on"
        ) from error


def _check_extra() -> None:
    if not (find_spec("ray") and find_spec("prefect_ray")):
        raise UserError(
            "--ray needs Ray and prefect-ray, which are not installed; run `make install-ray`, or install "
            "requirements-ray.lock into this environment"
        )


def _check_reached(address: str) -> None:
    """Refuses an address at which nothing listens; Ray itself would try for a minute, or end the process.

    Raises:
        UserError: it is no address, or nothing answers there.
    """
    if address == LOCAL:
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"--ray is {address!r}; give local, HOST:6379, or ray://HOST:10001")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"no Ray cluster answers at {address} within {CONNECT_SECONDS:g} s ({error}); start one there with "
            "`ray start --head`, or give its address (docs/howto/several-machines.md)"
        ) from None


@contextmanager
def _connection(address: str) -> Iterator[None]:
    """Ray's, with our handler of SIGTERM, in whose place Ray puts its own."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    stop = signal.getsignal(signal.SIGTERM)
    try:
        _connect(address)
        signal.signal(signal.SIGTERM, stop)
        yield
    finally:
        ray.shutdown()
        signal.signal(signal.SIGTERM, stop)


def _connect(address: str) -> None:
    import ray

    if address == LOCAL:
        how: dict[str, Any] = {"num_cpus": cores(), "include_dashboard": False}
    else:
        how = {"address": address}
    try:
        ray.init(
            **how,
            runtime_env={"py_modules": _code(), "env_vars": _environment()},
            namespace="headstart",
            log_to_driver=False,
            logging_level="error",
        )
    except Exception as error:  # Ray's own, and those of gRPC and of sockets
        raise UserError(
            f"the Ray cluster at {address} refused the connection: {_first_line(error)} (Ray, Python and "
            "RAY_AUTH_TOKEN must be the same on all machines; docs/howto/several-machines.md)"
        ) from error


def _machines(workspace: "Workspace") -> RayMachines:
    """Asks every machine that has a core whether it could run cells of this workspace."""
    import ray
    from ray.exceptions import RayError, RayTaskError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from headstart.storage.publish import sha256
    from tasks.remote_cells import look, versions
    from tasks.remote_inputs import check_remote
    from tasks.versioning import versioning_of

    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    ask = ray.remote(num_cpus=0, max_retries=0)(look)
    asked = [
        ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
            str(workspace.root), sha256(workspace.params), versions()
        )
        for node in nodes
    ]
    try:
        answers = [one.future() for one in asked]
        if wait(answers, timeout=LOOK_SECONDS).not_done:
            raise UserError(
                f"not all of {len(nodes)} machines of the Ray cluster answered within {LOOK_SECONDS:g} s; `ray status` "
                "may say why"
            )
        seen = [answer.result() for answer in answers]
    except RayTaskError as error:
        raise error.cause if isinstance(error.cause, HeadstartError) else UserError(_first_line(error.cause)) from None
    except RayError as error:
        raise UserError(f"a machine of the Ray cluster cannot run cells: {_first_line(error)}") from None
    gpus = sum(int(node["Resources"].get("GPU", 0)) for node in nodes)
    if any(one.folder for one in seen):
        check_remote(versioning_of(workspace.root))
    workers = gpus or sum(int(node["Resources"]["CPU"]) for node in nodes)
    if not workers:
        raise UserError("no machine of the Ray cluster has a core for cells; start one with `ray start --address`")
    here = ray.util.get_node_ip_address()
    others = {node["NodeManagerAddress"] for node in nodes} - {here, "127.0.0.1"}
    return RayMachines(workspace, tuple(seen), workers, "cuda:0" if gpus else "cpu", here if others else "")


def _code() -> list[str]:
    """This checkout's packages, which Ray sends to the machines."""
    return [str(Path(str(package.__file__)).parent) for package in (flows, tasks, headstart)]


def _environment() -> dict[str, str]:
    """Of a worker: one thread, and Prefect without a word to the outside."""
    return DEFAULTS | dict.fromkeys(ONE_THREAD, "1") | {"DVC_NO_ANALYTICS": "1", "PYTHONWARNINGS": "ignore"}


def _listed(seen: Sequence["Seen"]) -> str:
    return ", ".join(f"{one.host} ({one.folder or 'the shared folder'})" for one in seen)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def _own_token(address: str) -> Iterator[None]:
    """A cluster of this run alone has a token of its own; Ray would write one into the home folder, for good."""
    if address != LOCAL:
        yield
        return
    before = {name: os.environ.get(name) for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
    os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
