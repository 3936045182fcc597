"""A dataset that comes as one file, .zip or .tar (also .gz, .bz2, .xz), is unpacked: its rows and tables alone.

Rules of our own, for those of the libraries were measured to be not enough (tarfile's data filter on Python 3.11.7): an
archive that has a name outside of its folder, a link or a device is refused as a whole, and what comes out is counted
while it streams, whatever the archive says of itself.
"""

import bz2
import gzip
import lzma
import os
import shutil
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from headstart.datasets.archive_names import archive_stem
from headstart.datasets.folder import is_row, is_text, is_visible, printable
from headstart.datasets.settings import SIGNATURES
from headstart.datasets.tabular import is_table
from headstart.errors import DataError
from headstart.modalities.table import ModalityEntry
from headstart.storage.publish import replacing, sha256

OPENERS: dict[str, Callable[[Path], Any]] = {
    ".tar": lambda path: path.open("rb"),
    ".tar.gz": gzip.open,
    ".tgz": gzip.open,
    ".tar.bz2": bz2.open,
    ".tbz2": bz2.open,
    ".tar.xz": lzma.open,
    ".txz": lzma.open,
}
MOST_FILES = 1_000_000
MOST_TIMES = 200  # that all of it is larger than the archive; images are packed already
SPARE = 10_000_000  # bytes that a small archive may hold all the same
LARGEST_MEMBER = 2_000_000_000  # bytes
LARGEST_DIRECTORY = 200_000_000  # bytes of a zip's table of contents, which is read as a whole
LARGEST_HEADER = 1_000_000  # bytes between two files of a tar: their names and what is known of them
DEEPEST = 100  # folders
BLOCK = 1 << 20
BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, struct.error,
    ValueError, RuntimeError, OSError,
)  # fmt: skip


def unpack(path: Path, folder: Path, kind: ModalityEntry) -> Path:
    """Unpacks the rows of a kind and the tables of an archive below `folder`, once for each content.

    Returns the dataset's folder.

    Where all of it lies in one folder, that is the dataset's; in any case it is called like the archive.

    Raises:
        DataError: it is broken, encrypted or too large, or a name or kind of file in it is refused; nothing is left.
    """
    final = folder / f"{kind.name}-{sha256(path)[:32]}"
    found = final / archive_stem(path)
    if not found.is_dir():
        with replacing(final) as draft:
            content = draft / "content"
            content.mkdir()
            try:
                _unpack(path, content, kind)
            except _Refused as refused:
                raise DataError(f"{path} is not unpacked: {refused}") from None
            except BROKEN as error:
                said = str(error) or type(error).__name__
                raise DataError(f"{path} is damaged, cut short or no archive of its kind ({printable(said)})") from None
            inner = list(content.iterdir())
            only = inner[0] if len(inner) == 1 and inner[0].is_dir() else content
            only.rename(draft / found.name)
            shutil.rmtree(content, ignore_errors=True)
    return found


class _Refused(Exception):
    """What of an archive is not unpacked, and why."""


def _unpack(path: Path, content: Path, kind: ModalityEntry) -> None:
    meter = _Meter(MOST_TIMES * path.stat().st_size + SPARE)
    members = _of_zip(path, meter) if path.name.lower().endswith(".zip") else _of_tar(path, meter)
    seen: set[str] = set()
    for member in members:
        meter.count(member.name)
        place = _place(member.name)
        if member.is_folder:
            continue
        if place in seen:
            raise _Refused(f"{printable(place)} is in it twice")
        seen.add(place)
        wanted = is_row(place, kind) or is_table(Path(place)) or _known(place)
        wanted = wanted and all(map(is_visible, place.split("/")))
        with member.open() as source:
            _write(source, content / place if wanted else None, meter, member)
    if not seen:
        raise _Refused("there is no file in it")


def _known(place: str) -> bool:
    return place.rpartition("/")[2] == SIGNATURES


@dataclass
class _Member:
    """A file or folder of an archive. open: gives its bytes."""

    name: str
    size: int
    is_folder: bool
    open: Callable[[], Any]


@dataclass
class _Meter:
    """What came out of an archive so far, and what may. most: bytes. files: counted."""

    most: int
    done: int = 0
    files: int = 0

    def count(self, name: str) -> None:
        self.files += 1
        if self.files > MOST_FILES:
            raise _Refused(f"it has more than {MOST_FILES:,} files; unpack it yourself if you trust it")

    def add(self, count: int, name: str) -> None:
        self.done += count
        if self.done > self.most:
            raise _Refused(
                f"it unpacks to more than {self.most / 1e6:,.0f} MB, {MOST_TIMES} times its own size (at "
                f"{printable(name)}); unpack it yourself if you trust it"
            )


def _place(name: str) -> str:
    """Where a member goes, below the folder.

    Raises:
        _Refused: outside, or nowhere that every system has.
    """
    shown = printable(name)[:200]
    text = name.replace("\\", "/")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if text.startswith("/") or text[1:2] == ":":
        raise _Refused(f"{shown} is an absolute name")
    if ".." in parts:
        raise _Refused(f"{shown} leads out of the archive's folder")
    if "\0" in text or not is_text(text):
        raise _Refused(f"{shown} is no name that a file can have")
    if len(parts) > DEEPEST or any(len(part.encode()) > 255 for part in parts):
        raise _Refused(f"{shown}... is too long a name")
    return unicodedata.normalize("NFC", "/".join(parts))


def _write(source: IO[bytes], place: Path | None, meter: _Meter, member: _Member) -> None:
    """Copies a member's bytes, or passes over them; counts either way."""
    handle = None
    done = 0
    try:
        if place is not None:
            place.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        while block := source.read(BLOCK):
            done += len(block)
            meter.add(len(block), member.name)
            if done > LARGEST_MEMBER:
                raise _Refused(f"{printable(member.name)} has more than {LARGEST_MEMBER / 1e9:g} GB")
            if handle is not None:
                os.writev(handle, [block])
    finally:
        if handle is not None:
            os.close(handle)
    if done != member.size:
        raise EOFError(f"{member.name} has {done:,} bytes of {member.size:,}")


def _of_zip(path: Path, meter: _Meter) -> Iterator[_Member]:
    _check_directory(path)
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if entry.flag_bits & 1:
                raise _Refused(f"{printable(entry.filename)} is encrypted; unpack it yourself, and give the folder")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _Refused(f"{printable(entry.filename)} is a link or a special file")
            yield _Member(entry.filename, entry.file_size, entry.is_dir(), partial(archive.open, entry))


def _check_directory(path: Path) -> None:
    """zipfile takes the table of contents into memory as a whole, however large it says it is.

    Raises:
        _Refused: it is too large.
    """
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 66_000))
        tail = file.read()
    place, large = tail.rfind(b"PK\5\6"), tail.rfind(b"PK\6\6")
    sizes = [struct.unpack("<I", tail[place + 12 : place + 16])[0]] if 0 <= place <= len(tail) - 16 else []
    sizes += [struct.unpack("<Q", tail[large + 40 : large + 48])[0]] if 0 <= large <= len(tail) - 48 else []
    if any(LARGEST_DIRECTORY < size != 0xFFFFFFFF for size in sizes):
        raise _Refused(f"its table of contents has more than {LARGEST_DIRECTORY / 1e6:.0f} MB: too many files")


def _of_tar(path: Path, meter: _Meter) -> Iterator[_Member]:
    opener = next(opener for end, opener in reversed(OPENERS.items()) if path.name.lower().endswith(end))
    with opener(path) as raw:
        stream = _Stream(raw, meter)
        with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|") as archive:
            while (entry := stream.header(archive.next)) is not None:
                vars(archive)["members"] = []  # or it would keep them all
                if entry.issparse() or not (entry.isreg() or entry.isdir()):
                    raise _Refused(f"{printable(entry.name)} is a link or a special file")
                yield _Member(entry.name, entry.size, entry.isdir(), partial(_content, archive, entry))
        if stream.last.strip(b"\0"):
            raise EOFError("the mark at the end of a tar is missing")


@contextmanager
def _content(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> Iterator[IO[bytes]]:
    file = archive.extractfile(entry)
    assert file is not None  # for it is a regular file
    yield file


class _Stream:
    """The bytes of a tar, with a limit to what may stand between two files: tarfile takes that into memory."""

    def __init__(self, raw: IO[bytes], meter: _Meter):
        self._raw = raw
        self._meter = meter
        self._left: int | None = LARGEST_HEADER  # opening it reads the first one
        self.last = b""  # bytes that were read, the last ones

    def header(self, read: Callable[[], tarfile.TarInfo | None]) -> tarfile.TarInfo | None:
        """What `read` gives, which may take so much and no more."""
        self._left = LARGEST_HEADER
        try:
            return read()
        finally:
            self._left = None

    def read(self, count: int) -> bytes:
        content = self._raw.read(count)
        self.last = (self.last + content)[-512:]
        if self._left is not None:
            self._left -= len(content)
            if self._left < 0:
                raise _Refused(f"a name in it, or what is known of a file, has more than {LARGEST_HEADER:,} bytes")
        return content

    def close(self) -> None:
        """The file is closed by who opened it."""
