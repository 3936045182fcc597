"""Which files are archives, by their names: apart, for every start of the command asks, and few have to unpack one."""

from pathlib import Path

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


def is_archive(path: Path) -> bool:
    """Whether a file is called like an archive that can be unpacked."""
    return archive_stem(path) != path.name


def archive_stem(path: Path) -> str:
    """The name without .zip, .tar.gz and so on: what the dataset is called."""
    return next((path.name[: -len(end)] for end in SUFFIXES if path.name.lower().endswith(end)), path.name)
