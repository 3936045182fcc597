"""Sound clips: decoding to log-mel spectrograms (once, at ingest) and SpecAugment on batches of them (each step)."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headstart.modalities.audio.mel import SILENT_DB, Spectrogram, log_mel, quantised
from headstart.modalities.audio.sound import SUFFIXES, Sound, SoundLimits, read_sound
from headstart.modalities.decoded import Decoded, Refused
from headstart.modalities.pixels import pixel_vectors
from headstart.modalities.settings import AudioSettings

if TYPE_CHECKING:
    import torch

    from headstart.modalities.table import Modality

EXTENSIONS = frozenset(SUFFIXES)
ALL = slice(None)  # rows of a batch
CLIPPED = 0.001  # share of samples cut off at full scale from which a clip is said to be clipped
BEYOND = 2.0  # times full scale from which a file's floats are taken for numbers of another range
SHIFT = 0.1  # of a clip, by which SpecAugment's picture moves either way
MASK = 0.2  # of the frames, and of the mels: the widest mask


class HasAudio(Protocol):
    """Settings with a section `audio`."""

    @property
    def audio(self) -> AudioSettings: ...


@dataclass(frozen=True)
class HowAudio:
    """How a file becomes a row: what is read of it, and what is made of that."""

    spectrogram: Spectrogram = Spectrogram()
    limits: SoundLimits = field(default_factory=SoundLimits)


def how(settings: HasAudio) -> HowAudio:
    """What decoding needs of the settings, in samples in place of milliseconds."""
    audio = settings.audio
    rate = audio.sample_rate
    return HowAudio(
        Spectrogram(
            sample_rate=rate,
            length=round(audio.seconds * rate),
            mels=audio.mels,
            window=audio.window,
            hop=audio.hop,
            lowest=audio.lowest_hz,
            highest=audio.top_hz,
            floor_db=audio.floor_db,
            own_level=audio.level == "clip",
        ),
        SoundLimits(audio.shortest_seconds, audio.longest_seconds, audio.largest_channels),
    )


def channels(_: HasAudio) -> int:
    """Of a row: one, as of a gray image."""
    return 1


def size(settings: HasAudio) -> tuple[int, int]:
    """(mels, frames)"""
    return settings.audio.mels, settings.audio.frames


def decode(source: Path | BytesIO | str, how: HowAudio) -> Decoded:
    """Reads one clip to a (1, mels, frames) picture, the lowest pitch on top; a text is the path of a file.

    Channels are mixed, other rates resampled; of a clip that is too long the loudest part is kept, and one that is too
    short lies between two silences. Never raises for a bad file: the reason is a code and the cause, for rejected.csv.
    """
    try:
        place = source if isinstance(source, BytesIO) else Path(source)
        sound = read_sound(place, how.limits)
        samples, changes = _like_the_others(sound, how.spectrogram)
    except Refused as error:
        return Decoded(None, "", str(error))
    except MemoryError:
        return Decoded(None, "", "OUT_OF_MEMORY: the clip does not fit into memory")
    except Exception as error:  # libsndfile's and the system's; each makes the file a rejected one
        return Decoded(None, "", f"UNREADABLE: {type(error).__name__}: {_cause(error)}")
    values = quantised(log_mel(samples, how.spectrogram), how.spectrogram)[None]
    facts: dict[str, float | str] = {
        "seconds": sound.seconds,
        "rate": sound.rate,
        "channels": sound.channels,
        "peak": sound.peak,
    }
    changes += _of_file(sound, source)
    return Decoded(values, hashlib.sha256(values.data).hexdigest(), "", facts, changes)


def moments(blocks: Iterable[NDArray[np.uint8]], *, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and s.d. of the spectrograms' values, as fractions of 1."""
    from headstart.modalities.moments import pixel_moments

    return pixel_moments(blocks, channels=channels)


def vectors(rows: NDArray[np.uint8], places: NDArray[np.intp]) -> NDArray[np.float32]:
    """(places, numbers): spectrograms averaged down to at most 32 a side, fractions of 1."""
    return pixel_vectors(rows, places)


def augment(
    rows: "torch.Tensor", generator: "torch.Generator", *, of: int | None = None, part: slice = ALL
) -> "torch.Tensor":
    """SpecAugment (Park 2019, 1904.08779) of short clips: a shift in time, a mask over time and one over pitch.

    Another one for each clip: a shift of up to 10% either way (the edge is repeated), masks of up to 20%, filled with
    the clip's mean. rows: (batch, 1, mels, frames), any float scale. of, part: they are that part of a batch of so
    many, whose changes are drawn together.
    """
    import torch

    batch = rows.shape[0] if of is None else of
    drawn = torch.rand(5, batch, generator=generator, device=generator.device)[:, part].to(rows.device)
    masked = (
        _band(drawn[1], drawn[2], rows.shape[3])[:, None, None, :]
        | (_band(drawn[3], drawn[4], rows.shape[2])[:, None, :, None])
    )
    return torch.where(masked, rows.mean((1, 2, 3), keepdim=True), _shifted(rows, drawn[0]))


def augment_strongly(rows: "torch.Tensor", generator: "torch.Generator") -> "torch.Tensor":
    """SpecAugment twice over, louder or softer, and in another colour of tone: the strong view of FixMatch.

    rows: (batch, 1, mels, frames), normalised. The colour is a slope over pitch, as another microphone or room gives.
    """
    import torch

    changed = augment(augment(rows, generator), generator)
    gain, contrast, slope = torch.rand(3, len(rows), 1, 1, 1, generator=generator, device=generator.device).to(
        rows.device
    )
    pitch = torch.linspace(-1, 1, rows.shape[2], device=rows.device)[:, None]
    coloured: torch.Tensor = changed * (0.7 + 0.6 * contrast) + (gain - 0.5) + (slope - 0.5) * pitch
    return coloured


def _shifted(rows: "torch.Tensor", share: "torch.Tensor") -> "torch.Tensor":
    """Moved in time by whole frames; share: (batch,) in 0..1, 1/2 is nowhere."""
    import torch

    frames = rows.shape[3]
    right = ((share * 2 - 1) * SHIFT * frames).round().long()
    index = (torch.arange(frames, device=rows.device) - right[:, None]).clamp(0, frames - 1)  # (batch, frames)
    return rows.gather(3, index[:, None, None, :].expand(rows.shape))


def _band(width: "torch.Tensor", start: "torch.Tensor", side: int) -> "torch.Tensor":
    """(batch, side) bool: which places a mask covers; width, start: (batch,) in 0..1."""
    import torch

    wide = (width * (MASK * side + 1)).floor()
    first = (start * (side - wide + 1)).floor()
    place = torch.arange(side, device=width.device)
    return (place >= first[:, None]) & (place < (first + wide)[:, None])


def _like_the_others(sound: Sound, how: Spectrogram) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """(how.length,) samples at how.sample_rate, and what was done on the way, in words."""
    changes = []
    if sound.channels > 1:
        changes.append("mixed to one channel")
    wanted = round(how.length * sound.rate / how.sample_rate)
    samples = sound.samples
    if len(samples) > wanted:
        first = _loudest(samples, wanted, step=max(1, how.hop * sound.rate // how.sample_rate))
        samples = samples[first : first + wanted]
        changes.append("cut")
    kept = samples.astype(np.float64)
    if sound.peak > BEYOND:
        kept /= sound.peak
        changes.append("beyond full scale")
    if sound.rate != how.sample_rate:
        import soxr

        kept = soxr.resample(kept, sound.rate, how.sample_rate, quality="VHQ")  # the one that computes in 64 bits
        changes.append("resampled")
    if len(sound.samples) < wanted:
        changes.append("padded")
    return _centred(kept, how.length), tuple(changes)


def _loudest(samples: NDArray[np.float32], length: int, *, step: int) -> int:
    """Where the stretch of most energy begins, to a step; the first of equal ones."""
    starts = np.arange(0, len(samples), step)
    total = np.concatenate([[0.0], np.cumsum(np.add.reduceat(np.square(samples, dtype=np.float64), starts))])
    whole = max(1, length // step)
    energy = total[whole:] - total[:-whole]
    return min(int(np.argmax(energy)) * step, len(samples) - length)


def _centred(samples: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Between two silences of one length, where it is shorter; resampling may be one sample out either way."""
    samples = samples[:length]
    before = (length - len(samples)) // 2
    return np.pad(samples, (before, length - len(samples) - before))


def _of_file(sound: Sound, source: Path | BytesIO | str) -> tuple[str, ...]:
    """What is worth telling of a clip that is kept as it is."""
    parts = []
    if sound.peak < 10 ** (SILENT_DB / 20):
        parts.append("silent")
    if sound.flat > CLIPPED:
        parts.append("clipped")
    if not isinstance(source, BytesIO) and SUFFIXES.get(os.path.splitext(source)[1].lower()) != sound.format:
        parts.append("other extension")
    return tuple(parts)


def _cause(error: Exception) -> str:
    """What libsndfile says, without the file's place."""
    return str(getattr(error, "error_string", error)).removeprefix("Error : ").rstrip(".")


@dataclass(frozen=True)
class AudioModality:
    """What the table of modalities names."""

    dtype: str = "uint8"
    how = staticmethod(how)
    channels = staticmethod(channels)
    size = staticmethod(size)
    decode = staticmethod(decode)
    moments = staticmethod(moments)
    augment = staticmethod(augment)
    augment_strongly = staticmethod(augment_strongly)
    vectors = staticmethod(vectors)

    def sketch(self, rows: NDArray[np.uint8]) -> NDArray[np.float16]:
        from headstart.modalities.sketch import sketch  # scipy, which decoding itself does without

        return sketch(rows)

    def picture(self, row: NDArray[np.uint8], how: HowAudio) -> NDArray[np.uint8]:
        picture: NDArray[np.uint8] = row[0]
        return picture

    def traits(self, rows: NDArray[np.uint8]) -> dict[str, float]:
        return {"level": float(rows.mean() / 255), "contrast": float(rows.std() / 255)}

    def said(self, facts: Any) -> str:
        rates = ", ".join(f"{count:,} at {rate:,.0f} Hz" for rate, count in facts["rate"].value_counts().items())
        seconds = facts["seconds"]
        return f"{rates}; {seconds.min():.2f} to {seconds.max():.2f} s, median {seconds.median():.2f}"

    def warnings(self, facts: Any, settings: HasAudio) -> list[str]:
        long = int((facts["seconds"] > settings.audio.seconds).sum())
        if long * 2 <= len(facts):
            return []
        return [
            f"{long:,} of {len(facts):,} clips are longer than data.audio.seconds ({settings.audio.seconds:g}) and are "
            "cut to their loudest part; a larger one keeps more of them"
        ]


AUDIO: "Modality" = AudioModality()
