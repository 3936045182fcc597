"""Reader of a folder of class folders: <class>/<any depth>/<file>."""

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from headstart.datasets.listing import Listing, of_classes
from headstart.errors import DataError
from headstart.modalities.table import ModalityEntry

UNLABELLED_FOLDERS = ("unlabelled", "unlabeled")  # beside the class folders; not a class
SYSTEM_FOLDERS = ("@eaDir", "#recycle", "#snapshot", "$RECYCLE.BIN", "lost+found", "System Volume Information")
DVC_OBJECT = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}$")  # where DVC keeps a file that it links to

Refused = tuple[str, str]  # (place, reason), as in rejected.csv


def list_folder(directory: Path, kind: ModalityEntry, files: list[str] | None = None) -> Listing:
    """Lists the files below each class folder; hidden ones and those that are none of the kind are passed over.

    files: those of `list_rows`, where they are known already.

    Raises:
        DataError: no such folder, no class folders, or fewer than two classes with files.
    """
    if not directory.is_dir():
        raise DataError(
            f"{directory} is not a folder; a dataset is a folder that holds one folder of {kind.many} a class"
        )
    files = list_rows(directory, kind) if files is None else files
    found = [(path, path.split("/")[0]) for path in files if "/" in path]
    found = [(path, label) for path, label in found if label not in UNLABELLED_FOLDERS]
    classes = {label for _, label in found}
    if len(classes) < 2:
        raise DataError(
            f"{directory} holds {kind.many} in {len(classes)} class folder(s), {sorted(classes) or 'none'}; at least "
            f"two are needed: {directory.name}/<class>/<{kind.one}>, with {kind.many} named {kind.endings} (what "
            "rows are is set by data.modality)"
        )
    return of_classes([path for path, _ in found], [label for _, label in found])


def list_rows(directory: Path, kind: ModalityEntry) -> list[str]:
    """Paths of the files that are rows, at any depth, relative and sorted; hidden ones and links are passed over.

    Raises:
        DataError: a folder may not be read, or holds two files that other systems take for one.
    """
    return [name for name in look_through(directory, kind)[0] if is_row(name, kind)]


def look_through(directory: Path, kind: ModalityEntry) -> tuple[list[str], list[Refused]]:
    """Paths of all files at any depth, relative and sorted; and what is called like a row and cannot be one.

    Links are not followed: they may leave the folder that DVC versions, or lead into a circle. Those that DVC itself
    makes, into its cache, are files.

    Raises:
        DataError: as `list_rows`.
    """
    refused: list[Refused] = []
    return sorted(_walk(directory, "", kind, refused)), sorted(refused)


def is_row(name: str, kind: ModalityEntry) -> bool:
    """Whether a file is called like a row of that kind, of a format that is read or of another."""
    return os.path.splitext(name)[1].lower() in kind.extensions | kind.others


def is_visible(name: str) -> bool:
    """Whether a file or folder of that name is one of the user's: neither hidden nor made by a system."""
    return not name.startswith((".", "__MACOSX")) and name not in SYSTEM_FOLDERS


def is_text(name: str) -> bool:
    """Whether the bytes of a file's name are UTF-8: tables can hold no other."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    """A name as it can be written anywhere: what is no visible character is escaped, as Python would."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _walk(directory: Path, before: str, kind: ModalityEntry, refused: list[Refused]) -> Iterator[str]:
    """Paths in plain text: of 100,000 files, Path objects took twenty times as long."""
    try:
        with os.scandir(directory / before) as entries:
            found = [entry for entry in entries if is_visible(entry.name)]
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {error.strerror}; make the folder readable") from None
    named: dict[str, str] = {}
    for entry in found:
        place = before + entry.name
        is_folder = entry.is_dir(follow_symlinks=False)
        if is_folder or is_row(entry.name, kind):
            _refuse_twins(directory, before, entry.name, named)
        if not is_text(entry.name):
            if is_folder or is_row(entry.name, kind):
                refused.append((printable(place), "BAD_NAME: the name is not UTF-8; rename it"))
        elif entry.is_file(follow_symlinks=False) or _is_object_of_dvc(entry):
            yield place
        elif is_folder:
            yield from _walk(directory, f"{place}/", kind, refused)
        elif is_row(entry.name, kind) or _leads_to_folder(entry):
            refused.append((printable(place), _kind(entry)))


def _refuse_twins(directory: Path, before: str, name: str, named: dict[str, str]) -> None:
    """named: names of this folder so far, by what a Mac or Windows takes for one."""
    key = name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()
    other = named.setdefault(key, name)
    if other != name:
        first, second = sorted((other, name))
        raise DataError(
            f"{directory / before} holds {first!r} and {second!r} ({ascii(first)}, {ascii(second)}), which are one "
            "name on other systems; rename one of them"
        )


def _is_object_of_dvc(entry: "os.DirEntry[str]") -> bool:
    return entry.is_symlink() and bool(DVC_OBJECT.search(os.readlink(entry.path))) and entry.is_file()


def _leads_to_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:  # a circle
        return False


def _kind(entry: "os.DirEntry[str]") -> str:
    if entry.is_symlink():
        return "LINK: links are not followed; put the file or folder itself here"
    return "NOT_A_FILE: a pipe or a device"
