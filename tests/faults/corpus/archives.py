"""Archives given as a dataset, hostile and broken. Each case makes a file and gives its path."""

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from corpus.case import Case
from corpus.images import encoded, picture

MANY = 3000  # files of a bomb; the test lowers the limit below it
Make = Callable[[Path], Path]


def members(count: int = 20) -> dict[str, bytes]:
    """Of a good dataset of two classes."""
    return {
        f"{name}/{row}.png": encoded(picture(5000 + 100 * number + row, (24, 20)), "PNG")
        for number, name in enumerate(("cat", "dog"))
        for row in range(count)
    }


def as_zip(path: Path, files: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def as_tar(path: Path, files: dict[str, bytes], *, mode: str = "w", more: list[tarfile.TarInfo] | None = None) -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for entry in more or []:
            archive.addfile(entry, io.BytesIO(b"\0" * entry.size) if entry.isreg() else None)
    return path


def _zip(**more: bytes) -> Make:
    return lambda folder: as_zip(folder / "pets.zip", members() | more)


def _zip_of(name: str, content: bytes = b"x") -> Make:
    return lambda folder: as_zip(folder / "pets.zip", members() | {name: content})


def _tar_of(name: str, content: bytes = b"x") -> Make:
    return lambda folder: as_tar(folder / "pets.tar", members() | {name: content})


def _tar_with(kind: bytes, name: str, link: str = "") -> Make:
    def make(folder: Path) -> Path:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, link
        return as_tar(folder / "pets.tar", members(), more=[entry])

    return make


def _link_then_file(folder: Path) -> Path:
    """A link to a folder outside, and then a file through it."""
    link = tarfile.TarInfo("cat/out")
    link.type, link.linkname = tarfile.SYMTYPE, str(folder.parent)
    file = tarfile.TarInfo("cat/out/escaped.png")
    file.size = 5
    return as_tar(folder / "pets.tar", members(), more=[link, file])


def _hardlink_to_link(folder: Path) -> Path:
    """The way past tarfile's own filter: a link, a hard link to it, and a file written through that."""
    link = tarfile.TarInfo("cat/a.png")
    link.type, link.linkname = tarfile.SYMTYPE, "../../escaped.png"
    hard = tarfile.TarInfo("cat/b.png")
    hard.type, hard.linkname = tarfile.LNKTYPE, "cat/a.png"
    file = tarfile.TarInfo("cat/b.png")
    file.size = 5
    return as_tar(folder / "pets.tar", members(), more=[link, hard, file])


def _zip_link(folder: Path) -> Path:
    path = as_zip(folder / "pets.zip", members())
    with zipfile.ZipFile(path, "a") as archive:
        entry = zipfile.ZipInfo("cat/link.png")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/hostname")
    return path


def _bomb(name: str, suffix: str) -> Make:
    """300 MB of zeros in an image's name."""

    def make(folder: Path) -> Path:
        path = folder / f"pets{suffix}"
        size = 300_000_000
        if suffix == ".zip":
            as_zip(path, members())
            with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w") as file:
                for _ in range(size // 1_000_000):
                    file.write(bytes(1_000_000))
            return path
        entry = tarfile.TarInfo(name)
        entry.size = size
        with gzip.open(path, "wb", compresslevel=9) as packed, tarfile.open(fileobj=packed, mode="w|") as archive:
            archive.addfile(entry, _Zeros(size))
        return path

    return make


class _Zeros(io.RawIOBase):
    def __init__(self, size: int):
        self._left = size

    def read(self, count: int = -1) -> bytes:
        count = min(count, self._left)
        self._left -= count
        return bytes(count)


def _lying_zip(folder: Path) -> Path:
    """A bomb whose table of contents says that it is of 10 bytes."""
    path = _bomb("cat/bomb.png", ".zip")(folder)
    content = bytearray(path.read_bytes())
    place = content.rindex(b"PK\1\2")
    content[place + 24 : place + 28] = struct.pack("<I", 10)
    path.write_bytes(bytes(content))
    return path


def _count_bomb(folder: Path) -> Path:
    """Many names and no content: what each costs is in the file system."""
    return as_tar(folder / "pets.tar.gz", {f"cat/{number}.png": b"" for number in range(MANY)}, mode="w:gz")


def _long_name_bomb(folder: Path) -> Path:
    """A name of 500 MB, which a reader would hold in memory."""
    path = folder / "pets.tar.gz"
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 500_000_000
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(entry.tobuf(format=tarfile.GNU_FORMAT))
        for _ in range(500):
            file.write(b"x" * 1_000_000)
    return path


def _directory_bomb(folder: Path) -> Path:
    """A zip that says its table of contents has 2 GB."""
    path = as_zip(folder / "pets.zip", members())
    content = bytearray(path.read_bytes())
    place = content.rindex(b"PK\5\6")
    content[place + 12 : place + 16] = struct.pack("<I", 2_000_000_000)
    path.write_bytes(bytes(content))
    return path


def _encrypted(folder: Path) -> Path:
    path = as_zip(folder / "pets.zip", members())
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = content.index(mark)
        content[place + offset] |= 1
    path.write_bytes(bytes(content))
    return path


def _cut(make: Make, share: float) -> Make:
    def cut(folder: Path) -> Path:
        path = make(folder)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        return path

    return cut


def _flipped(folder: Path) -> Path:
    """A byte of the content of a stored file: only its checksum tells."""
    files = members()
    path = as_zip(folder / "pets.zip", files, method=zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[content.index(files["dog/3.png"]) + 40] ^= 1
    path.write_bytes(bytes(content))
    return path


def _text(name: str) -> Make:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(b"no archive at all\n" * 100)
        return folder / name

    return make


def _tar(name: str, mode: str) -> Make:
    return lambda folder: as_tar(folder / name, members(), mode=mode)


def _table_that_points_out(folder: Path) -> Path:
    """A table whose rows name files of this machine."""
    files = {name.replace("/", "-"): content for name, content in members().items()}
    rows = [f"{name},{name[:3]}" for name in files] + ["/etc/hostname,cat", "../../../../etc/hostname,dog"]
    return as_zip(folder / "pets.zip", files | {"labels.csv": "\n".join(["path,label", *rows, ""]).encode()})


def _twice(folder: Path) -> Path:
    import warnings

    path = as_zip(folder / "pets.zip", members())
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("cat/0.png", b"another")
    return path


def _repacked(name: str) -> Make:
    """All of it in one folder of another name, with what systems leave beside it."""
    files = {f"my pets/{place}": content for place, content in members().items()}
    return lambda folder: as_zip(folder / name, files | {"my pets/.DS_Store": b"x", "my pets/read me.txt": b"x"})


CASES = [
    Case("parent", "a name that leads out", "X", ("pets.zip", "../escaped.png", "leads out"),
         _zip_of("../escaped.png")),
    Case("parent_inside", "a name that leads out by a detour", "X", ("leads out",), _zip_of("cat/../../escaped.png")),
    Case("parent_of_windows", "a name that leads out on Windows", "X", ("leads out",), _zip_of("..\\..\\escaped.png")),
    Case("parent_tar", "a name that leads out", "X", ("pets.tar", "leads out"), _tar_of("../escaped.png")),
    Case("absolute", "an absolute name", "X", ("absolute",), _zip_of("/tmp/escaped.png")),
    Case("absolute_tar", "an absolute name", "X", ("absolute",), _tar_of("/tmp/escaped.png")),
    Case("drive", "a name with a drive", "X", ("absolute",), _zip_of("C:/escaped.png")),
    Case("link", "a link", "X", ("link or a special file",),
         _tar_with(tarfile.SYMTYPE, "cat/link.png", "/etc/hostname")),
    Case("link_inside", "a link that stays inside", "X", ("link or a special file",),
         _tar_with(tarfile.SYMTYPE, "cat/link.png", "0.png")),
    Case("link_zip", "a link in a zip", "X", ("cat/link.png", "link or a special file"), _zip_link),
    Case("hard_link", "a hard link to a file outside", "X", ("link or a special file",),
         _tar_with(tarfile.LNKTYPE, "cat/hard.png", "../../../etc/hostname")),
    Case("link_then_file", "a link, and a file through it", "X", ("link or a special file",), _link_then_file),
    Case("hard_link_to_link", "a hard link to a link, and a file through it", "X", ("link or a special file",),
         _hardlink_to_link),
    Case("device", "a device", "X", ("link or a special file",), _tar_with(tarfile.CHRTYPE, "cat/zero.png")),
    Case("fifo", "a pipe", "X", ("link or a special file",), _tar_with(tarfile.FIFOTYPE, "cat/pipe.png")),
    Case("bomb_zip", "300 MB in 300 KB", "X", ("times its own size",), _bomb("cat/bomb.png", ".zip")),
    Case("bomb_unwanted", "300 MB in a file that is passed over", "X", ("times its own size",),
         _bomb("readme.txt", ".zip")),
    Case("bomb_tar", "300 MB in a packed tar", "X", ("times its own size",), _bomb("cat/bomb.png", ".tar.gz")),
    Case("bomb_that_lies", "300 MB that the table of contents calls 10 bytes", "X", ("pets.zip",), _lying_zip),
    Case("bomb_of_names", "more files than any dataset has", "X", ("files",), _count_bomb),
    Case("bomb_of_a_name", "a name of 500 MB", "X", ("bytes",), _long_name_bomb),
    Case("bomb_of_contents", "a table of contents of 2 GB", "X", ("table of contents",), _directory_bomb),
    Case("encrypted", "a password", "X", ("encrypted", "give the folder"), _encrypted),
    Case("cut_zip", "a zip cut at half", "X", ("damaged, cut short",), _cut(_zip(), 0.5)),
    Case("cut_tar", "a tar cut at half", "X", ("damaged, cut short",), _cut(_tar("pets.tar", "w"), 0.5)),
    Case("cut_tar_at_a_border", "a tar cut between two files", "X", ("damaged, cut short",),
         lambda folder: _border(folder)),
    Case("cut_gz", "a packed tar cut at half", "X", ("damaged, cut short",), _cut(_tar("pets.tar.gz", "w:gz"), 0.5)),
    Case("cut_xz", "the same of another packer", "X", ("damaged, cut short",), _cut(_tar("pets.tar.xz", "w:xz"), 0.5)),
    Case("flipped", "a flipped byte", "X", ("damaged, cut short",), _flipped),
    Case("text", "text under the name of a zip", "X", ("damaged, cut short",), _text("pets.zip")),
    Case("text_tar", "text under the name of a tar", "X", ("damaged, cut short",), _text("pets.tgz")),
    Case("nothing", "an archive of nothing", "X", ("no file in it",), lambda folder: as_zip(folder / "pets.zip", {})),
    Case("twice", "two files of one name", "X", ("cat/0.png", "twice"), _twice),
    Case("file_and_folder", "a file and a folder of one name", "X", ("pets.tar",),
         lambda folder: as_tar(folder / "pets.tar", members() | {"cat/0.png/1.png": b"x"})),
    Case("long_name", "a name of 304 bytes", "X", ("pets.tar",),
         lambda folder: as_tar(folder / "pets.tar", members() | {"cat/" + "x" * 300 + ".png": b"x"})),
    Case("points_out", "a table that names files of this machine", "Q", "OUTSIDE", _table_that_points_out),
    Case("zip", "a good zip", "N", "", _zip()),
    Case("zip_in_a_folder", "a zip of one folder", "N", "", _repacked("pets.zip")),
    *(Case(f"tar_{end or 'plain'}", f"a good .tar{end and '.' + end}", "N", "",
           _tar(f"pets.tar{end and '.' + end}", f"w:{end}")) for end in ("", "gz", "bz2", "xz")),
]  # fmt: skip


def _border(folder: Path) -> Path:
    path = as_tar(folder / "pets.tar", members())
    with tarfile.open(path) as archive:
        last = archive.getmembers()[-1]
    path.write_bytes(path.read_bytes()[: last.offset])
    return path
