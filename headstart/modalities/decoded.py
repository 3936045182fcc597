"""One row as its modality decodes it, or the reason why it cannot be; and a file's bytes as they were at one time."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST_FILE = 1_000_000_000  # bytes
CHANGED = "CHANGED: something wrote to the file while it was read"


@dataclass(frozen=True)
class Decoded:
    """One row: its values and a digest of them, or the reason why there are none.

    values: an image (channels, height, width) uint8, a sound (1, mels, frames) uint8, a text (length,) int32 with 0 for
    padding. sha256: of the decoded content. reason: a code and the cause, for rejected.csv; "" where there are values.
    facts: what check and the card tell statistics of. changes: what was done to it that most rows need not, in words.
    sketch: by which near duplicates are told (datasets/near.py), where there is one.
    """

    values: NDArray[Any] | None
    sha256: str
    reason: str
    facts: dict[str, float | str] = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    sketch: NDArray[np.float16] | None = None

    def without_values(self) -> "Decoded":
        """The same, light enough to be sent between processes by the thousand."""
        return replace(self, values=None)


class Refused(Exception):
    """The content is not one that is decoded; the text is a reason with its code."""


def content_of(path: Path, *, largest: int = LARGEST_FILE, setting: str = "") -> BytesIO:
    """The bytes of a file as they were at one time. A decoder may map a file that it opens: cut short, that kills.

    Raises:
        Refused: as `opened`.
    """
    with opened(path, largest=largest, setting=setting) as (handle, size):
        content = os.read(handle, size)
        if len(content) != size:
            raise Refused(CHANGED)
    return BytesIO(content)


@contextmanager
def opened(path: Path, *, largest: int = LARGEST_FILE, setting: str = "") -> Iterator[tuple[int, int]]:
    """A file's handle and its size; at the end of the block it has to be what it was.

    largest: bytes; setting: the name of the knob that says so.

    Raises:
        Refused: it is empty, too large, no regular file (a pipe would be waited for), or was written to meanwhile.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            raise Refused("NOT_A_FILE: a folder, a pipe or a device")
        if not before.st_size:
            raise Refused("EMPTY: a file of no bytes")
        if before.st_size > largest:
            raise Refused(too_large(before.st_size, largest, setting))
        yield handle, before.st_size
        after = os.fstat(handle)
    finally:
        os.close(handle)
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise Refused(CHANGED)


def too_large(size: int, largest: int, setting: str = "") -> str:
    """The reason for so many bytes."""
    return f"TOO_LARGE: {size / 1e6:,.1f} MB, at most {largest / 1e6:,.1f}" + (f" ({setting})" if setting else "")
