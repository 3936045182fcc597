"""Locks that are waited for: each for a stated time, after which it is said which one it was and who may have it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from headstart.errors import BusyError


@contextmanager
def held(path: Path, *, seconds: float, what: str) -> Iterator[None]:
    """Holds a lock for the length of the block. what: it is that the holder is at, in a few words.

    Raises:
        BusyError: it did not come free within these seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=seconds, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(
            f"{path} has been held for {seconds:g} s by {_holders(path)}, which is {what}; if that one hangs, stop it, "
            "then run again"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _holders(path: Path) -> str:
    """The processes of this machine that have the file open."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and any(one.path == str(path.resolve()) for one in process.open_files()):
                command = " ".join(" ".join(process.cmdline()).split())
                found.append(f"process {process.pid} ({command[:80]}, {process.status()})")
        except psutil.Error:
            continue
    return ", ".join(found) or "a process of another user or machine"
