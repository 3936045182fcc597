"""Odd names, links and special files in a folder of class folders. Each case alters one and gives what it added."""

import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

from corpus.case import Case
from corpus.images import encoded, picture

CLASSES = ("cat", "dog")
Make = Callable[[Path], str]  # the folder -> the path, relative to it, that must be set aside or read


def folder_of_classes(root: Path, *, rows: int = 20, first: int = 0) -> Path:
    """Writes <class>/<number>.png for two classes, every picture another one."""
    for number, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True, exist_ok=True)
        for row in range(rows):
            content = encoded(picture(1000 + first + number * rows + row, (24, 20)), "PNG")
            (root / name / f"{row}.png").write_bytes(content)
    return root


def _named(name: str) -> Make:
    """A picture of that name, which lies among the cats."""

    def make(root: Path) -> str:
        place = root / "cat" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(encoded(picture(77, (24, 20)), "PNG"))
        return f"cat/{name}"

    return make


def _link_out(root: Path) -> str:
    outside = root.parent / "outside.png"
    outside.write_bytes(encoded(picture(78), "PNG"))
    (root / "cat" / "link.png").symlink_to(outside)
    return "cat/link.png"


def _folder_out(root: Path) -> str:
    folder_of_classes(root.parent / "outside", first=500)
    (root / "cat" / "more").symlink_to(root.parent / "outside" / "cat")
    return "cat/more"


def _class_out(root: Path) -> str:
    folder_of_classes(root.parent / "outside", first=500)
    (root / "bird").symlink_to(root.parent / "outside" / "cat")
    return "bird"


def _loop(root: Path) -> str:
    (root / "cat" / "again").symlink_to(root)
    return "cat/again"


def _link_to_itself(root: Path) -> str:
    (root / "cat" / "self.png").symlink_to(root / "cat" / "self.png")
    return "cat/self.png"


def _dangling(root: Path) -> str:
    (root / "cat" / "gone.png").symlink_to(root / "nowhere.png")
    return "cat/gone.png"


def _fifo(root: Path) -> str:
    os.mkfifo(root / "cat" / "pipe.png")
    return "cat/pipe.png"


def _socket(root: Path) -> str:
    import socket

    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(root / "cat")  # a socket's path may have 108 bytes
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("socket.png")
    finally:
        os.fchdir(here)
        os.close(here)
    return "cat/socket.png"


def _device(root: Path) -> str:
    """A device needs rights to make; without them, a link to one."""
    try:
        os.mknod(root / "cat" / "zero.png", 0o600 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        (root / "cat" / "zero.png").symlink_to("/dev/zero")
    return "cat/zero.png"


def _unreadable(root: Path) -> str:
    path = root / _named("locked.png")(root)
    path.chmod(0)
    return "cat/locked.png"


def _not_utf_8(root: Path) -> str:
    origin = root / _named("good.png")(root)
    os.rename(origin, os.path.join(os.fsencode(root / "cat"), b"caf\xe9.png"))
    return "cat/caf\\udce9.png"


def _twins(first: str, second: str) -> Make:
    def make(root: Path) -> str:
        for number, place in enumerate((first, second)):
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).write_bytes(encoded(picture(80 + number, (24, 20)), "PNG"))
        return first

    return make


def _twin_classes(first: str, second: str) -> Make:
    def make(root: Path) -> str:
        for number, name in enumerate((first, second)):
            folder_of_classes(root.parent / f"twin{number}", first=600 + 100 * number)
            shutil.copytree(root.parent / f"twin{number}" / "cat", root / name)
        return first

    return make


def _hardlink(root: Path) -> str:
    os.link(root / "cat" / "0.png", root / "cat" / "same.png")
    return "cat/same.png"


def _system_files(root: Path) -> str:
    for place in (".DS_Store", "Thumbs.db", "desktop.ini", "cat/.DS_Store", "cat/._0.png", "cat/Thumbs.db"):
        (root / place).write_bytes(b"\0" * 100)
    for folder in (".git/objects", ".hidden", "__MACOSX/cat", "cat/@eaDir", "$RECYCLE.BIN", "lost+found", "cat/.cache"):
        (root / folder).mkdir(parents=True)
        (root / folder / "x.png").write_bytes(encoded(picture(90), "PNG"))
    return ""


def _empty_class(root: Path) -> str:
    (root / "bird").mkdir()
    return "bird"


E = unicodedata.normalize("NFC", "caf\u00e9.png"), unicodedata.normalize("NFD", "caf\u00e9.png")

CASES = [
    Case("link_out", "a link to a file outside", "Q", "LINK", _link_out),
    Case("folder_out", "a link to a folder outside", "Q", "LINK", _folder_out),
    Case("class_out", "a class folder that is a link", "Q", "LINK", _class_out),
    Case("loop", "a link back to the folder itself", "Q", "LINK", _loop),
    Case("link_to_itself", "a link to itself", "Q", "LINK", _link_to_itself),
    Case("dangling", "a link to nothing", "Q", "LINK", _dangling),
    Case("fifo", "a pipe that nobody writes to", "Q", "NOT_A_FILE", _fifo),
    Case("socket", "a socket", "Q", "NOT_A_FILE", _socket),
    Case("device", "a device that never ends", "Q", ("NOT_A_FILE", "LINK"), _device),
    Case("unreadable", "a file that may not be read", "Q", "UNREADABLE", _unreadable),
    Case("not_utf_8", "a name in Latin-1", "Q", "BAD_NAME", _not_utf_8),
    Case("nfc_nfd", "two names that are one on a Mac", "X", ("caf\u00e9.png", "one name"),
         _twins(f"cat/{E[0]}", f"cat/{E[1]}")),
    Case("case_twins", "two names that are one on Windows", "X", ("A.PNG", "a.png", "one name"),
         _twins("cat/A.PNG", "cat/a.png")),
    Case("class_twins", "two class folders that are one on Windows", "X", ("'Bird'", "'bird'", "one name"),
         _twin_classes("Bird", "bird")),
    Case("empty_class", "a class folder without an image", "N", "holds no image", _empty_class),
    Case("newline", "a line break in a name", "N", "", _named("a\nb.png")),
    Case("comma", "a comma in a name", "N", "", _named("a,b.png")),
    Case("quote", "quotes in a name", "N", "", _named("a\"b'c.png")),
    Case("escape", "an escape sequence in a name", "N", "", _named("\x1b[31mred.png")),
    Case("formula", "a name that a spreadsheet would run", "N", "", _named("=HYPERLINK(1).png")),
    Case("markup", "a name that a browser would run", "N", "", _named("<img src=x onerror=alert(1)>.png")),
    Case("long_name", "a name of 255 bytes", "N", "", _named("x" * 251 + ".png")),
    Case("deep", "60 folders deep", "N", "", _named("d/" * 60 + "a.png")),
    Case("hardlink", "one file under two names", "N", "", _hardlink),
    Case("system_files", "what systems leave in folders", "N", "", _system_files),
]  # fmt: skip
