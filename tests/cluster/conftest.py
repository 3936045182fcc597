"""Real Ray clusters of two nodes in this machine, each node with a core and an environment of its own."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

RAY = str(Path(sys.executable).parent / "ray")


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
        try:
            first = psutil.Process(self.nodes[node].pid)
            return [*first.children(recursive=True), first]
        except psutil.NoSuchProcess:
            return []

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
        found = self.processes(node)
        for process in reversed(found):
            with suppress(psutil.Error):
                process.kill()
        self.nodes[node].wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_until(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
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
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
        cluster = Cluster(_free_port(), _free_port(), token)
        folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # names of sockets must not be long
        started.append((cluster, folder))
        head = ["--head", f"--port={cluster.port}", f"--ray-client-server-port={cluster.client_port}"]
        head += [f"--temp-dir={folder}", "--include-dashboard=false"]
        for number, own in enumerate(environments):
            which = head if number == 0 else [f"--address={cluster.address}"]
            command = [RAY, "start", *which, "--num-cpus=1", "--num-gpus=0", "--block"]
            if hidden and can_hide:
                command = [
                    "unshare",
                    "--mount",
                    "sh",
                    "-c",
                    f'mount -t tmpfs none "{hidden}" && exec "$@"',
                    "-",
                    *command,
                ]
            with (folder / f"node-{number}.log").open("wb") as log:
                cluster.nodes.append(
                    subprocess.Popen(
                        command,
                        env=os.environ | token | own,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        cwd=folder,
                        start_new_session=True,
                    )
                )
            _wait_until(
                lambda number=number: (
                    "Ray runtime started" in (folder / f"node-{number}.log").read_text()  # type: ignore[misc]
                ),
                seconds=60,
                what=f"node {number} did not start",
            )
        return cluster

    yield start
    for cluster, folder in started:
        for number in reversed(range(len(cluster.nodes))):
            cluster.lose(number)
        shutil.rmtree(folder, ignore_errors=True)
