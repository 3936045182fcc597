"""Publishing: a directory appears whole under its final name, or not at all, and says what it holds.

The one module that moves finished artifacts into place, so that faults need to be thought of once.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headstart.errors import IntegrityError
from headstart.storage.disk import exchange, naming_the_disk

MANIFEST = "manifest.json"
DRAFT = re.compile(
    r"\.(?P<name>.+)\.(?P<what>tmp|old)-(?P<pid>\d+)-[0-9a-f]{8}"
)  # of what is not published yet, or no more


@contextmanager
def publishing(final: Path) -> Iterator[Path]:
    """Gives a temporary directory beside `final`; on a clean exit it takes the final name, with a manifest.

    What stood under the final name before is replaced; on an error it stays as it was.
    """
    with replacing(final) as draft:
        yield draft
        write_manifest(draft)


@contextmanager
def replacing(final: Path) -> Iterator[Path]:
    """As `publishing`, without a manifest: for content that DVC versions file by file.

    Raises:
        StorageError: the disk is full or fails, here or in what the block writes; the final name is as it was.
    """
    draft = _draft(final)
    with naming_the_disk(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir()
        try:
            yield draft
            _replace_directory(draft, final)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def write_manifest(directory: Path) -> None:
    """Records sha256 and size of each file below `directory`, after they are on disk."""
    files = {}
    for path in sorted(p for p in directory.rglob("*") if p.is_file() and p.name != MANIFEST):
        _fsync(path)
        files[path.relative_to(directory).as_posix()] = {"sha256": sha256(path), "size": path.stat().st_size}
    write_json(directory / MANIFEST, files)
    _fsync(directory / MANIFEST)
    _fsync(directory)


def verify(directory: Path) -> dict[str, dict[str, Any]]:
    """Returns the manifest of a published directory after checking each file against it.

    Raises:
        IntegrityError: no manifest, a file is missing, or its bytes are not what was published.
    """
    manifest = read_manifest(directory)
    for name, entry in manifest.items():
        path = directory / name
        if not path.is_file():
            raise IntegrityError(f"{path} is missing though {directory / MANIFEST} lists it; run the step again")
        if path.stat().st_size != entry["size"] or sha256(path) != entry["sha256"]:
            raise IntegrityError(
                f"{path} is not the file that was published (sha256 differs); delete {directory} and run again"
            )
    return manifest


def verify_once(directory: Path) -> None:
    """As `verify`, but files that this process has verified and that nobody touched since are not read again.

    Every cell opens its pack: at gigabytes the digests would take seconds each time, of what is in memory anyway.

    Raises:
        IntegrityError: see `verify`.
    """
    place = directory.absolute()
    stamp = _stamp(directory, read_manifest(directory))
    if None in stamp or _verified.get(place) != stamp:
        verify(directory)
        _verified[place] = stamp


_verified: dict[Path, tuple[tuple[str, ...] | None, ...]] = {}


def _stamp(directory: Path, manifest: dict[str, dict[str, Any]]) -> tuple[tuple[str, ...] | None, ...]:
    """What changes when a file does, of each and of the manifest; None of one that is not there."""
    found: list[tuple[str, ...] | None] = []
    for name in (MANIFEST, *manifest):
        try:
            known = (directory / name).stat()
        except OSError:
            found.append(None)
        else:
            found.append((name, *map(str, (known.st_ino, known.st_size, known.st_mtime_ns, known.st_ctime_ns))))
    return tuple(found)


def read_manifest(directory: Path) -> dict[str, dict[str, Any]]:
    """Returns the manifest without reading the files it lists.

    Raises:
        IntegrityError: there is none, it is damaged, or names files elsewhere.
    """
    path = directory / MANIFEST
    try:
        manifest: dict[str, dict[str, Any]] = json.loads(path.read_text())
    except FileNotFoundError:
        raise IntegrityError(f"{directory} has no {MANIFEST}: it was not published whole; run its step first") from None
    except ValueError:
        raise IntegrityError(f"{path} is not valid JSON; delete {directory} and run its step again") from None
    if not isinstance(manifest, dict) or not all(map(_is_entry, manifest, manifest.values())):
        raise IntegrityError(f"{path} is no manifest: it is damaged; delete {directory} and run its step again")
    return manifest


def _is_entry(name: str, entry: Any) -> bool:
    """Whether it could be that of a file below the directory."""
    inside = not os.path.isabs(name) and ".." not in name.split("/")
    return inside and isinstance(entry, dict) and entry.keys() == {"sha256", "size"}


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all, in UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all.

    Raises:
        StorageError: the disk is full or fails.
    """
    draft = _draft(path)
    with naming_the_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_bytes(content)
            _fsync(draft)
            os.replace(draft, path)
            _fsync(path.parent)
        finally:
            draft.unlink(missing_ok=True)


def withdraw(directory: Path) -> None:
    """Removes a published directory in one move: a kill leaves all of it under its name, or nothing."""
    away = _draft(directory)
    try:
        os.rename(directory, away)
    except FileNotFoundError:
        return
    shutil.rmtree(away, ignore_errors=True)  # what is left of it is swept later


def sweep(folder: Path, *, deep: bool = True) -> list[Path]:
    """Removes what publishing processes that were killed left below a folder; returns it. deep: in its folders too.

    A version that a killed process had just put aside takes its name again where no other one bears it.
    """
    swept = []
    for path in sorted(folder.rglob(".*") if deep else folder.glob(".*")):
        if found := DRAFT.fullmatch(path.name):
            if _is_at_work(int(found["pid"])):
                continue
            final = path.with_name(found["name"])
            if found["what"] == "old" and not final.exists():
                os.rename(path, final)
            elif path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
            swept.append(path)
    return swept


def write_json(path: Path, value: Any) -> None:
    """Writes JSON with sorted keys, so that equal values are equal bytes."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def sha256(path: Path) -> str:
    """Digest of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """Digest of a JSON-able value: the key under which a result may be found again."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _draft(final: Path, what: str = "tmp") -> Path:
    return final.parent / f".{final.name}.{what}-{os.getpid()}-{os.urandom(4).hex()}"


def _is_at_work(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _replace_directory(draft: Path, final: Path) -> None:
    if not final.exists():
        os.rename(draft, final)
    elif not exchange(draft, final):
        old = _draft(final, "old")
        os.rename(final, old)
        try:
            os.rename(draft, final)
        except OSError:
            os.rename(old, final)
            raise
        shutil.rmtree(old, ignore_errors=True)  # what is left of it is swept later
    _fsync(final.parent)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
