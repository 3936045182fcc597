"""A step in a process of its own, with a checkpoint after every training step, so that it can be killed at one."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# The workers and ranks import this file too. When checkpoints are written has no influence on the bytes.
EAGER = """
import sys
import time

from headstart.training.checkpoint import Checkpoints

Checkpoints.__init__.__kwdefaults__["every"] = 0.0
save = Checkpoints.save


def save_and_wait(self, *given):
    save(self, *given)
    time.sleep(0.1)


Checkpoints.save = save_and_wait

if __name__ == "__main__":
    from tasks.__main__ import main

    sys.exit(main(sys.argv[1:]))
"""

Start = Callable[..., "subprocess.Popen[str]"]


@contextmanager
def starting(folder: Path) -> Iterator[Start]:
    """Gives start(project, *step); what was started dies with the block, and its output is kept till then."""
    program = folder / "eager.py"
    program.write_text(EAGER)
    started: list[subprocess.Popen[str]] = []

    def start(project: Any, *step: str) -> "subprocess.Popen[str]":
        started.append(
            subprocess.Popen(
                [sys.executable, str(program), *step],
                cwd=project.root,
                env=project.env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.communicate()


def checkpoints(project: Any, pattern: str) -> list[str]:
    """Names of the whole checkpoints of the trainings that match."""
    found = (project.root / ".headstart" / "cells").glob(f"{pattern}/step-*/manifest.json")
    return sorted(path.parent.name for path in found)
