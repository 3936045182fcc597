"""Prefect's surroundings: its home in the project's state, quiet, on loopback, without a word to the outside."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

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
    "PREFECT_CLI_PROMPT": "false",
}


@contextmanager
def start_prefect(state: Path) -> Iterator[None]:
    """Sets Prefect up before its first import; what the user set in the environment stands.

    Without PREFECT_API_URL a server is started for this run and ends with it; those that killed runs left are swept.
    """
    home = state / "prefect"
    home.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("PREFECT_HOME", str(home))
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    os.environ[OWNER] = str(os.getpid())
    sweep_servers(os.environ["PREFECT_HOME"])
    yield


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
