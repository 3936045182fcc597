"""What a modality makes of one file: a row, or the reason why not. And how the bytes of a file are taken."""

import os
import stat
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST_FILE = 1_000_000_000  # bytes


@dataclass(frozen=True)
class Decoded:
    """One file as a row: its values and a digest of them, or the reason why not.

    values: an image's pixels (channels, height, width) uint8, a clip's spectrogram (1, mels, frames) uint8, or a text's
    tokens (length,). sha256: of what was decoded. reason: a code and the cause, where values is None. facts: what check
    and the card count of all rows. changes: what was done to it that most rows need not, in words. sketch: by which
    near duplicates are told (datasets/near.py), where it was asked for.
    """

    values: NDArray[Any] | None
    sha256: str
    reason: str
    facts: dict[str, float | str] = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    sketch: NDArray[np.float16] | None = None


class Refused(Exception):
    """The file is not one that is decoded; the text is a reason with its code."""


def content_of(path: Path) -> BytesIO:
    """The bytes of a file as they were at one time.

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
        if before.st_size > LARGEST_FILE:
            raise Refused(f"TOO_LARGE: {before.st_size / 1e6:,.0f} MB, at most {LARGEST_FILE / 1e6:,.0f}")
        content = os.read(handle, before.st_size)
        after = os.fstat(handle)
    finally:
        os.close(handle)
    if len(content) != before.st_size or (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise Refused("CHANGED: something wrote to the file while it was read")
    return BytesIO(content)
