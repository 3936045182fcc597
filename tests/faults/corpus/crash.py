"""A decoder that a certain file kills, as torchvision's was measured to be by a PNG with one flipped byte."""

import os
import signal
from pathlib import Path

from headstart.datasets.rows import Chunk, decode_chunk
from headstart.modalities.decoded import Decoded

MARK = b"this file is the end of who reads it"


def decode_or_die(chunk: Chunk) -> list[Decoded]:
    """As the real one, but for files with the mark."""
    if any(Path(path).read_bytes().startswith(MARK) for path in chunk.sources):
        os.kill(os.getpid(), signal.SIGSEGV)
    return decode_chunk(chunk)
