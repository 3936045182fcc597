"""What a run that was killed leaves, and how the next one clears it away. Called by what holds the workspace alone."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from headstart.errors import HeadstartError
from headstart.storage.publish import sweep

WORKS_FOR = "HEADSTART_WORKS_FOR"  # in the environment of workers and ranks: the process that they belong to
END_SECONDS = 10.0  # that the system has to end a process that was killed
MADE = ("packs", "models", "features", "reports")


def mark_children() -> None:
    """From here on, what this process starts bears its name, by which `tidy` knows it when this process is gone."""
    process = psutil.Process()
    os.environ[WORKS_FOR] = _name(process.pid, process.create_time())


def tidy(root: Path, cells: Path, holder: Mapping[str, Any]) -> None:
    """Ends what still works for the workspace's last holder, and removes what nobody will publish any more.

    holder: pid and started, as that one wrote them; empty where it ended by itself.

    Raises:
        HeadstartError: one of its workers does not end.
    """
    if holder:
        end_orphans(int(holder["pid"]), float(holder["started"]))
    for folder in (cells, *(root / name for name in MADE)):
        sweep(folder)
    sweep(root, deep=False)


def end_orphans(pid: int, started: float) -> list[int]:
    """Ends the workers of a process that is gone, also those that were frozen; returns their process ids.

    They look for their parent themselves, once a second. Until then, or for as long as one is frozen, it might still
    publish what the run that comes now has made anew.

    Raises:
        HeadstartError: one does not end.
    """
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            owner = process.environ().get(WORKS_FOR, "")
            if process.pid != os.getpid() and _is(owner, pid, started) and not _is_alive(pid, started):
                process.kill()
                found.append(process)
    _, alive = psutil.wait_procs(found, timeout=END_SECONDS)
    if left := [process.pid for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]:
        raise HeadstartError(
            f"process {left[0]} works for a run that was killed, and did not end within {END_SECONDS:g} s of being "
            "killed itself; its disk may hang. Run again when it is gone"
        )
    return [process.pid for process in found]


def _name(pid: int, started: float) -> str:
    return f"{pid} {started}"


def _is(owner: str, pid: int, started: float) -> bool:
    number, _, since = owner.partition(" ")
    return number == str(pid) and abs(float(since) - started) < 1


def _is_alive(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        return bool(abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
