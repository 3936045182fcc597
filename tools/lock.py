"""Prints the packages installed beside this interpreter as a requirements file, without any index address.

Run by `make lock`, with the Python of a venv that has just been filled from pyproject.toml.
"""

from importlib.metadata import distributions

LINUX_ONLY = ("nvidia-", "cuda-", "triton")  # what torch brings along on Linux alone
SEED = {"pip", "setuptools", "wheel", "headstart"}
# --no-build-isolation installs the project itself with these; fresh venvs do not all have them.
BUILD = ("setuptools", "wheel")


def main() -> None:
    """One pinned line a package, sorted, so that a diff of the file shows what changed."""
    found = {dist.metadata["Name"].lower().replace("_", "-"): dist.version for dist in distributions()}
    for name in sorted(found):
        if name in SEED and name not in BUILD:
            continue
        linux = name.startswith(LINUX_ONLY) and name != "nvidia-ml-py"
        marker = ' ; sys_platform == "linux"' if linux else ""
        print(f"{name}=={found[name]}{marker}")


if __name__ == "__main__":
    main()
