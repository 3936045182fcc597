"""Which process is at work on a run, and whether it is still there."""

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path


def identity() -> dict[str, str]:
    """The tags that tell later whether the process that opened a run is still there."""
    return {
        "headstart.host": socket.gethostname(),
        "headstart.boot_id": _boot_id(),
        "headstart.pid": str(os.getpid()),
        "headstart.pid_started": _process_started(os.getpid()) or "",
        "headstart.pid_namespace": _pid_namespace(),
    }


def _boot_id() -> str:
    import psutil

    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(int(psutil.boot_time()))


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _process_started(pid: int) -> str | None:
    """When a living process started, so that the next owner of its number is not taken for it; None: it is gone.

    On Linux in clock ticks since boot, which setting the clock does not move. "" where a process is there but hidden.
    """
    import psutil

    try:
        if sys.platform != "linux":
            return str(psutil.Process(pid).create_time())
        # The name in brackets may itself hold spaces and brackets: fields count from the last one.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except (OSError, psutil.Error):
        return "" if psutil.pid_exists(pid) else None


def orphaned(tags: Mapping[str, str], here: Mapping[str, str]) -> str | None:
    """Why no process of this host can still be at work on the run; None where one may be."""
    pid = tags.get("headstart.pid", "")
    if not pid.isdigit():
        return None
    if tags.get("headstart.boot_id") != here["headstart.boot_id"]:
        return f"process {pid} is gone: the machine has been restarted since"
    if tags.get("headstart.pid_namespace") != here["headstart.pid_namespace"]:
        return None
    started = _process_started(int(pid))
    if started is None or (started and started != tags.get("headstart.pid_started")):
        return f"process {pid} is gone: killed, or crashed without a word"
    return None


def reason_of(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")
