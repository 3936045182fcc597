"""Prefect's tables, made once at installation: to make them takes its server 6 to 9 s of a project's first start.

`make install` calls `python -m flows.empty_database`. Without it a server makes its tables itself.
"""

import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from headstart.storage.publish import write_bytes

NAME = "prefect.db"  # as Prefect calls it, in its home


def make() -> Path:
    """Makes an empty database beside the installed packages and returns its path."""
    with tempfile.TemporaryDirectory() as home:
        subprocess.run(
            [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"],
            env={key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
            | {"PREFECT_HOME": home, "DO_NOT_TRACK": "true"},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        write_bytes(path(), (Path(home) / NAME).read_bytes())
    return path()


def copy_to(home: Path) -> None:
    """Puts a copy into a home that has no database yet."""
    if path().is_file() and not (home / NAME).exists():
        write_bytes(home / NAME, path().read_bytes())


def path() -> Path:
    """Where it lies; another version of Prefect has another one."""
    return Path(sys.prefix) / "share" / "headstart" / f"prefect-{version('prefect')}.db"


if __name__ == "__main__":
    make()
