"""Log-mel spectrograms: sound as a picture, pitch from low to high by time from left to right.

In 64-bit floats throughout: what differs in the last bit from one processor to another must not reach a byte.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

SILENT_DB = -60.0  # of full scale: a clip that is never louder is not made louder than this would be


@dataclass(frozen=True)
class Spectrogram:
    """How samples become a spectrogram.

    sample_rate: samples a second. length, window, hop: samples of a clip, of a frame, and from one frame to the next.
    lowest, highest: Hz, of the mel filters. floor_db: what is softer counts as silence. own_level: whether 0 dB is the
    clip's loudest place, else it is a sine of full scale.
    """

    sample_rate: int = 16_000
    length: int = 16_000
    mels: int = 64
    window: int = 512
    hop: int = 256
    lowest: float = 20.0
    highest: float = 8_000.0
    floor_db: float = -80.0
    own_level: bool = True

    @property
    def frames(self) -> int:
        """The last one may reach beyond the clip."""
        return -(-self.length // self.hop)

    @property
    def points(self) -> int:
        """Of the Fourier transform: the power of two that a window fits into."""
        return 1 << (self.window - 1).bit_length()


def log_mel(samples: NDArray[np.float64], how: Spectrogram) -> NDArray[np.float64]:
    """(mels, frames) decibels from how.floor_db to 0; samples: (how.length,), full scale is 1.

    Frame i is centred on sample (i + 1/2) hop; beyond the clip there is silence.
    """
    beside = (how.window - how.hop) // 2
    padded = np.zeros(how.frames * how.hop + how.window)
    padded[beside : beside + how.length] = samples
    window = _hann(how.window)
    frames = sliding_window_view(padded, how.window)[: how.frames * how.hop : how.hop] * window
    power = np.abs(np.fft.rfft(frames, how.points)) ** 2
    power /= how.points * (window**2).sum() / 4  # a sine of full scale then has a power of 1 in all
    mel = filters(how) @ power.T
    top = max(mel.max(), 10 ** (SILENT_DB / 10)) if how.own_level else 1.0
    floor = 10 ** (how.floor_db / 10)
    return np.asarray(np.minimum(10 * np.log10(np.maximum(mel / top, floor)), 0))


def quantised(decibels: NDArray[np.float64], how: Spectrogram) -> NDArray[np.uint8]:
    """0 for the floor, 255 for 0 dB: steps of 0.31 dB where the floor is -80."""
    return np.rint(255 - decibels * (255 / how.floor_db)).astype(np.uint8)


@lru_cache(maxsize=8)
def filters(how: Spectrogram) -> NDArray[np.float64]:
    """(mels, points // 2 + 1): triangles of height 1 over Hz, their corners even in mel (O'Shaughnessy 1987, as HTK).

    Those of librosa.filters.mel(htk=True, norm=None) and of torchaudio's melscale_fbanks.
    """
    corners = corners_of(how)
    bins = np.arange(how.points // 2 + 1) * (how.sample_rate / how.points)
    rising = (bins - corners[:-2, None]) / np.diff(corners)[:-1, None]
    falling = (corners[2:, None] - bins) / np.diff(corners)[1:, None]
    return np.maximum(0, np.minimum(rising, falling))


def corners_of(how: Spectrogram) -> NDArray[np.float64]:
    """(mels + 2,): where the triangles begin, peak and end, Hz."""
    low, high = (2595 * math.log10(1 + hertz / 700) for hertz in (how.lowest, how.highest))
    return np.asarray(700 * (10 ** (np.linspace(low, high, how.mels + 2) / 2595) - 1))


@lru_cache(maxsize=8)
def _hann(length: int) -> NDArray[np.float64]:
    """Periodic, as for spectra."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length))
