"""What the system does and says below files: names that change places, and a disk that is full or fails."""

import ctypes
import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headstart.errors import HeadstartError, StorageError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FAILING = (*FULL, errno.EIO, errno.EROFS)
NUMBER = re.compile(r"\b(?:os error|errno) (\d+)", re.IGNORECASE)  # as libraries in Rust and C++ put it
WITHOUT_NUMBER = {  # SQLite's words, and numpy's
    re.compile("database or disk is full"): errno.ENOSPC,
    re.compile("disk I/O error"): errno.EIO,
    re.compile(r"^\d+ requested and \d+ written$"): errno.ENOSPC,
}
TO_DO = {
    errno.EIO: "the disk or its connection fails: look at the system's log",
    errno.EROFS: "it is mounted read-only",
}


@contextmanager
def naming_the_disk(path: Path) -> Iterator[None]:
    """Makes of a disk's failure within the block a StorageError that names the file; other errors go on as they are.

    Raises:
        StorageError: see above.
    """
    try:
        yield
    except HeadstartError:
        raise
    except Exception as error:
        number = disk_error(error)
        if not number:
            raise
        todo = TO_DO.get(number, "make room there")
        raise StorageError(
            f"{_file(error) or path} cannot be written ({os.strerror(number)}): {todo}, then run again. What was "
            "there before is as it was, and what is finished is kept"
        ) from error


def disk_error(error: BaseException) -> int:
    """The system's number of a disk's failure, 0 of any other error. Libraries hide it in words, or in a cause."""
    seen: BaseException | None = error
    while seen is not None:
        number = seen.errno if isinstance(seen, OSError) and seen.errno else 0
        found = NUMBER.search(str(seen))
        number = number or (int(found[1]) if found else 0)
        number = number or next((code for words, code in WITHOUT_NUMBER.items() if words.search(str(seen))), 0)
        if number in FAILING:
            return number
        seen = seen.__cause__ or seen.__context__
    return 0


def exchange(one: Path, other: Path) -> bool:
    """Has two paths change places in one move, so that there is no moment without either (Linux's renameat2).

    False where the system or the file system cannot do it; nothing was done then.

    Raises:
        OSError: it can, and it failed.
    """
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    here, exchanged = -100, 2  # AT_FDCWD and RENAME_EXCHANGE
    if call(here, os.fsencode(one), here, os.fsencode(other), exchanged) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(other))


def _file(error: BaseException) -> str:
    return str(getattr(error, "filename", None) or "")
