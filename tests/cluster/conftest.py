"""Real Ray clusters of two nodes in this machine, each node with a core and an environment of its own."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from benchmarks.ray.nodes import free_port, head_flags, lose, processes_of, start_node, token


@dataclass
class Cluster:
    """A head and a further node, in the order in which they were started."""

    port: int
    client_port: int
    environment: dict[str, str]
    nodes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def client_address(self) -> str:
        return f"ray://127.0.0.1:{self.client_port}"

    def processes(self, node: int) -> list[psutil.Process]:
        """All of a node, its workers too."""
        return processes_of(self.nodes[node])

    def cells_at_work(self) -> list[psutil.Process]:
        """Workers that are at a cell, on either node: Ray names a worker after its task."""
        found = []
        for node in range(len(self.nodes)):
            for process in self.processes(node):
                with suppress(psutil.Error):
                    if process.cmdline()[:1] == ["ray::cell"]:
                        found.append(process)
        return found

    def lose(self, node: int) -> None:
        """A machine that is switched off: nothing of it says goodbye."""
        lose(self.nodes[node])


def _wait_until(condition: Callable[[], bool], *, seconds: float, what: str | Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what if isinstance(what, str) else what()
        time.sleep(0.1)


@pytest.fixture(scope="session", name="wait_until")
def wait_until_fixture() -> Callable[..., None]:
    return _wait_until


@pytest.fixture(scope="session")
def can_hide() -> bool:
    """Whether a node may be given a view of the disk without a project's folder, as another machine would have."""
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def start_cluster(can_hide: bool) -> Iterator[Callable[..., Cluster]]:
    """Starts a cluster. environments: of each node. hidden: a folder that no node sees, where that can be done."""
    started: list[tuple[Cluster, Path]] = []

    def start(*environments: dict[str, str], hidden: Path | None = None) -> Cluster:
        cluster = Cluster(free_port(), free_port(), token())
        folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # names of sockets must not be long
        started.append((cluster, folder))
        head = head_flags(folder, port=cluster.port, client_port=cluster.client_port)
        hide = ["unshare", "--mount", "sh", "-c", f'mount -o ro -t tmpfs none "{hidden}" && exec "$@"', "-"]
        for number, own in enumerate(environments):
            node = start_node(
                [f"--address={cluster.address}"] if number else head,
                folder / f"node-{number}.log",
                cores=1,
                environment=cluster.environment | own,
                within=hide if hidden and can_hide else (),
            )
            cluster.nodes.append(node)
        return cluster

    yield start
    for cluster, folder in started:
        for number in reversed(range(len(cluster.nodes))):
            cluster.lose(number)
        shutil.rmtree(folder, ignore_errors=True)
