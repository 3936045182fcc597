"""Children: their lines arrive, and they end with the block that waits for them and with the process that did."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tasks.children import run_child

SLEEP = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
FAMILY = f"""
import subprocess, sys
inner = subprocess.Popen([sys.executable, "-c", {SLEEP!r}])
inner.wait()
"""


def run_python(code: str, on_line: Callable[[str], None], cwd: Path) -> int:
    return run_child([sys.executable, "-c", code], cwd=cwd, env=os.environ, on_line=on_line)


def ends(pid: int, *, within: float) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_lines_of_both_streams_arrive_and_the_exit_code_comes_back(tmp_path: Path) -> None:
    said: list[str] = []
    code = "import os, sys; print(os.getcwd()); print('no', file=sys.stderr); sys.stdout.write('end'); sys.exit(3)"
    assert run_python(code, said.append, tmp_path) == 3
    assert said == [str(tmp_path), "no", "end"]


def test_a_signal_comes_back_as_the_shell_would_have_it(tmp_path: Path) -> None:
    assert run_python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", print, tmp_path) == 137


def test_an_exception_in_the_block_ends_the_child_and_what_it_started(tmp_path: Path) -> None:
    pids: list[int] = []

    def stop(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_python(FAMILY, stop, tmp_path)
    assert ends(pids[0], within=5)


def test_a_child_that_ignores_the_first_word_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.guard.PATIENCE", 0.5)
    pids: list[int] = []

    def stop(line: str) -> None:
        pids.append(int(line))
        raise RuntimeError("cancelled")

    with pytest.raises(RuntimeError, match="cancelled"):
        run_python(f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}", stop, tmp_path)
    assert ends(pids[0], within=5)


def test_it_ends_where_the_process_that_asked_for_it_is_killed(tmp_path: Path) -> None:
    asking = (
        "import os, sys; from pathlib import Path; from tasks.children import run_child\n"
        f"run_child([sys.executable, '-c', {FAMILY!r}], cwd=Path({str(tmp_path)!r}), env=os.environ,\n"
        "          on_line=lambda line: print(line, flush=True))"
    )
    parent = subprocess.Popen([sys.executable, "-c", asking], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert ends(pid, within=5)
