"""What DVC recorded of files, held against their bytes.

DVC itself takes a file for what it was while its date, size and inode stay, hands out what lies in its cache without a
look, and has no fsck: a flipped bit goes through all of it with exit code 0 (measured, dvc 3.67.1).
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dvc.output import Output

BLOCK = 1 << 20
LISTS = ".dir"  # how the name of an object ends that lists a folder


@dataclass(frozen=True)
class Recorded:
    """A file that DVC has a digest of. path: where it lies in the workspace. md5: of its bytes."""

    path: Path
    md5: str


def recorded_files(out: "Output") -> list[Recorded] | None:
    """The files of an output or dataset as DVC recorded them; None where its cache has no listing of the folder."""
    if not out.hash_info:
        return []
    if not out.hash_info.isdir:
        return [Recorded(Path(out.fs_path), str(out.hash_info.value))]
    try:
        listing = out.get_obj()
    except Exception:  # DVC's many, of a listing that is no JSON any more
        return None
    if listing is None:
        return None
    return [Recorded(Path(out.fs_path, *key), str(info.value)) for key, _, info in listing]


def damaged(files: Iterable[Recorded]) -> list[Recorded]:
    """Those that are there and whose bytes are others; missing ones are DVC's to find."""
    known = list(files)
    return [
        file
        for file, md5 in zip(known, digests(file.path for file in known), strict=True)
        if md5 not in (None, file.md5)
    ]


def damaged_objects(cache: Path) -> list[Path]:
    """Objects of DVC's cache whose bytes are not what their name says. cache: the folder `files/md5`."""
    objects = sorted(path for path in cache.glob("[0-9a-f][0-9a-f]/*") if name_of(path))
    return [path for path, md5 in zip(objects, digests(objects), strict=True) if md5 not in (None, name_of(path))]


def digests(paths: Iterable[Path]) -> Iterator[str | None]:
    """md5 of each file, in their order; None of one that cannot be read as a file. In threads: hashlib frees them."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        yield from threads.map(_md5, paths)


def name_of(path: Path) -> str:
    """The digest that an object's path stands for, "" where it is none of the cache's own (a draft, a lock)."""
    name = path.parent.name + path.name.removesuffix(LISTS)
    return name if len(name) == 32 and set(name) <= set("0123456789abcdef") else ""


def _md5(path: Path) -> str | None:
    found = hashlib.md5(usedforsecurity=False)
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                found.update(block)
    except OSError:
        return None
    return found.hexdigest()
