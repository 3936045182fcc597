"""Prints the packages installed beside this interpreter as a requirements file, without any index address.

Run by `make lock`, with the Python of a venv that has just been filled from pyproject.toml. Given a lock, it prints
what is installed beyond that: an extra's own lock.
"""

import sys
from importlib.metadata import distributions
from pathlib import Path

LINUX_ONLY = ("nvidia-", "cuda-", "triton")  # what torch brings along on Linux alone
SEED = {"pip", "setuptools", "wheel", "headstart"}
# --no-build-isolation installs the project itself with these; fresh venvs do not all have them.
BUILD = ("setuptools", "wheel")


def main(beyond: str = "") -> None:
    """One pinned line a package, sorted, so that a diff of the file shows what changed. beyond: a lock's path."""
    known = set(Path(beyond).read_text().splitlines()) if beyond else set()
    found = {dist.metadata["Name"].lower().replace("_", "-"): dist.version for dist in distributions()}
    for name in sorted(found):
        if name in SEED and name not in BUILD:
            continue
        linux = name.startswith(LINUX_ONLY) and name != "nvidia-ml-py"
        marker = ' ; sys_platform == "linux"' if linux else ""
        line = f"{name}=={found[name]}{marker}"
        if line not in known:
            print(line)


if __name__ == "__main__":
    main(*sys.argv[1:])
