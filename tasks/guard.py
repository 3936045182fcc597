"""Runs a command that must not outlive the process that asked for it. Called as a script, by tasks/children.py.

It and the command are a process group of their own. Where the parent goes, killed or not, the group gets SIGTERM, and
SIGKILL after PATIENCE. Nothing of the project is imported: the command may be of another revision of it.
"""

import os
import signal
import subprocess
import sys

PATIENCE = 10.0  # seconds
EVERY = 0.5  # seconds between two looks at the parent


def main(arguments: list[str]) -> int:
    """arguments: the parent's process id, and the command. Returns its exit code, 128 + n where signal n ended it."""
    parent, command = int(arguments[0]), arguments[1:]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _wait_on)  # not SIG_IGN, which the command would inherit
    process = subprocess.Popen(command)
    told = False
    while True:
        try:
            code = process.wait(timeout=PATIENCE if told else EVERY)
            return 128 - code if code < 0 else code
        except subprocess.TimeoutExpired:
            if told:
                os.killpg(os.getpgrp(), signal.SIGKILL)
            elif os.getppid() != parent:
                told = True
                os.killpg(os.getpgrp(), signal.SIGTERM)


def _wait_on(number: int, frame: object) -> None:
    """The command has the same signal, and ends by itself."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
