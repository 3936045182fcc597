"""Sound files: what their headers may say, and their samples, read in blocks and mixed to one channel.

libsndfile reads a file by its handle and maps nothing, so that one that is cut short meanwhile ends no process.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from headstart.modalities.decoded import Refused, opened

FORMATS = {"WAV": "WAV", "WAVEX": "WAV", "RF64": "WAV", "FLAC": "FLAC", "OGG": "OGG"}  # libsndfile's name: ours
SUFFIXES = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG"}
LOWEST_RATE, HIGHEST_RATE = 4_000, 192_000  # samples a second
BLOCK = 1 << 18  # samples of all channels that are decoded at a time: 1 MiB
NO_END = 1 << 60  # samples: what libsndfile says of a FLAC that does not say how long it is
STREAMED = 0x7FFFF000  # bytes of a WAV from which its header means: until the file ends
LOUDEST = 1e6  # times full scale, of floats; beyond it they are no sound
CUT = re.compile(r"data : (\d+) \(should be (\d+)\)")  # of libsndfile's log


@dataclass(frozen=True)
class SoundLimits:
    """What a sound file's header may say; beyond it, the file is set aside before its samples are read."""

    shortest_seconds: float = 0.02
    longest_seconds: float = 60.0
    largest_channels: int = 8


@dataclass(frozen=True)
class Sound:
    """A file's samples (length,) as one channel, and what is said of it.

    peak: the largest of any channel, full scale being 1. flat: share of samples that are cut off at full scale.
    """

    samples: NDArray[np.float32]
    rate: int
    channels: int
    format: str
    peak: float
    flat: float

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


def read_sound(source: Path | BytesIO, limits: SoundLimits) -> Sound:
    """Reads a whole file, whose header is within the limits.

    Raises:
        Refused: it is no sound file of ours, its header is beyond the limits or says more than the file holds, it has
            no samples or some that are no numbers.
        soundfile.LibsndfileError: it is damaged.
    """
    with _opened(source) as file:
        _check_header(file, limits)
        parts, peak, flat = [], 0.0, 0
        for block in _blocks(file):
            if not np.isfinite(block).all():
                raise Refused("NOT_FINITE: samples that are infinite or no numbers")
            size = np.abs(block)
            peak = max(peak, float(size.max()))
            if peak > LOUDEST:
                raise Refused(
                    f"TOO_LOUD: samples up to {peak:.3g}, where 1 is full scale and {LOUDEST:,.0f} is allowed"
                )
            flat += _flat(block, size)
            parts.append(block.mean(1))
        samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        if len(samples) < file.frames:
            raise Refused(f"CUT_SHORT: its header says {file.frames:,} samples, the file has {len(samples):,}")
        share = flat / (len(samples) * file.channels)
        return Sound(samples, file.samplerate, file.channels, FORMATS[file.format], peak, share)


def _blocks(file: soundfile.SoundFile) -> Iterator[NDArray[np.float32]]:
    """(samples, channels) each, as many as the header says and no more."""
    left, size = file.frames, max(1, BLOCK // file.channels)
    while left > 0:
        block = file.read(min(size, left), dtype="float32", always_2d=True)
        if not len(block):
            return
        left -= len(block)
        yield block


def _flat(block: NDArray[np.float32], size: NDArray[np.float32]) -> int:
    """Samples that are the third or later of equal ones in a row, near full scale: of a wave that was cut off."""
    same = block[1:] == block[:-1]
    return int((same[1:] & same[:-1] & (size[2:] > 0.98)).sum())


def _check_header(file: soundfile.SoundFile, limits: SoundLimits) -> None:
    """Raises:
    Refused: the header is beyond the limits, or not true.
    """
    if file.format not in FORMATS or file.subtype.startswith("MPEG"):  # an MP3 may lie in a WAV
        kind = file.format if file.format not in FORMATS else file.subtype
        raise Refused(f"OTHER_FORMAT: {kind}, where WAV, FLAC and OGG are read; convert it")
    rate, channels, frames = file.samplerate, file.channels, file.frames
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise Refused(f"BAD_RATE: {rate:,} samples a second, from {LOWEST_RATE:,} to {HIGHEST_RATE:,} are allowed")
    if channels > limits.largest_channels:
        raise Refused(f"CHANNELS: {channels}, at most {limits.largest_channels} (data.audio.largest_channels)")
    if frames >= NO_END:
        raise Refused("NO_LENGTH: its header does not say how many samples it has; write it to a file once more")
    seconds = frames / rate
    if seconds > limits.longest_seconds:
        raise Refused(
            f"TOO_LONG: {seconds:,.0f} seconds, at most {limits.longest_seconds:g} (data.audio.longest_seconds); "
            "cut it into clips"
        )
    if not frames:
        raise Refused("NO_SAMPLES: a header, and no sound")
    if seconds < limits.shortest_seconds:
        raise Refused(
            f"TOO_SHORT: {seconds:.3g} seconds, at least {limits.shortest_seconds:g} (data.audio.shortest_seconds)"
        )
    said = CUT.search(file.extra_info)
    if said and int(said[2]) < int(said[1]) < STREAMED:
        raise Refused(f"CUT_SHORT: its header says {int(said[1]):,} bytes of sound, the file has {int(said[2]):,}")


@contextmanager
def _opened(source: Path | BytesIO) -> Iterator[soundfile.SoundFile]:
    """A sound file with its header read.

    Raises:
        Refused: it is no sound file, or none that can be waited for; or it was written to meanwhile.
    """
    if isinstance(source, BytesIO):
        with _header(source) as file:
            yield file
        return
    with opened(source) as (handle, _), _header(handle) as file:
        yield file


def _header(source: BytesIO | int) -> soundfile.SoundFile:
    """Raises:
    Refused: libsndfile knows no such file.
    """
    try:
        return soundfile.SoundFile(source, closefd=False)
    except soundfile.LibsndfileError as error:
        if "not recognised" in error.error_string or "unknown format" in error.error_string:
            raise Refused("NOT_AUDIO: none of WAV, FLAC, OGG") from None
        raise
