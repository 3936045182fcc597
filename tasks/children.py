"""Commands that run as children of this process, line by line, and end with the block that waits for them."""

import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from tasks import guard

LOOK = 0.5  # seconds in which an exception that was thrown into a waiting thread is noticed


def run_child(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], on_line: Callable[[str], None] = lambda line: None
) -> int:
    """Runs a command to its end and returns its exit code; each line that it prints, on either stream, is passed on.

    Where the block is left by an exception, the command and all that it started in its group get SIGTERM, and SIGKILL
    after 10 s. It ends in the same way where this process is killed.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", guard.__file__, str(os.getpid()), *command],
        cwd=cwd,
        env=dict(env) | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        _pass_on(process, on_line)
        return process.wait()
    except BaseException:
        _end(process)
        raise
    finally:
        if process.stdout:
            process.stdout.close()


def end_marked(name: str, value: str) -> None:
    """Ends the processes of this user in whose environment a variable has this value: what a killed run left behind."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(name) == value:
                process.terminate()
                found.append(process)
    _, alive = psutil.wait_procs(found, timeout=guard.PATIENCE)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=guard.PATIENCE)


def _pass_on(process: "subprocess.Popen[bytes]", on_line: Callable[[str], None]) -> None:
    """Never waits for long: Prefect cancels by an exception that a thread only gets between two of its own steps."""
    assert process.stdout is not None
    handle = process.stdout.fileno()
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        while True:
            if not selector.select(timeout=LOOK):
                if process.poll() is not None:
                    break  # what it started may still hold the pipe
                continue
            read = os.read(handle, 65536)
            if not read:
                break
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                on_line(line.decode(errors="replace").rstrip("\r"))
    if rest:
        on_line(rest.decode(errors="replace"))


def _end(process: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=guard.PATIENCE)
            return
