"""Nodes of a Ray cluster in this machine, each a `ray start` of its own; tests/cluster starts them by it too."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

RAY = str(Path(sys.executable).parent / "ray")
START_SECONDS = 90


def token() -> dict[str, str]:
    """What nodes and drivers of one cluster have in common; without it Ray may write a token into the home folder."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def head_flags(folder: Path, *, port: int, client_port: int) -> list[str]:
    """folder: where the cluster keeps its sockets, whose names must not be long."""
    ports = [f"--port={port}", f"--ray-client-server-port={client_port}"]
    return ["--head", *ports, f"--temp-dir={folder}", "--include-dashboard=false"]


def start_node(
    flags: Sequence[str], log: Path, *, cores: int, environment: Mapping[str, str], within: Sequence[str] = ()
) -> "subprocess.Popen[bytes]":
    """Starts a node and returns once it is up. within: a command that the node is run by."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*within, RAY, "start", *flags, f"--num-cpus={cores}", "--num-gpus=0", "--block"],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while "Ray runtime started" not in log.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"a node of Ray did not start: {log.read_text()}")
        time.sleep(0.1)
    return process


def processes_of(node: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """All of a node, its workers too, the children first."""
    try:
        first = psutil.Process(node.pid)
        return [*reversed(first.children(recursive=True)), first]
    except psutil.NoSuchProcess:
        return []


def lose(node: "subprocess.Popen[bytes]") -> None:
    """As a machine that is switched off: nothing of it says goodbye."""
    for process in processes_of(node):
        with suppress(psutil.Error):
            process.kill()
    node.wait()
