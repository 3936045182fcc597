"""Broken and unusual sound files. Each case makes (file name, bytes)."""

import io
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import soundfile

from corpus.case import Case

RATE = 16_000
Made = tuple[str, bytes]


def tone(seconds: float = 1.0, *, rate: int = RATE, channels: int = 1, seed: int = 0) -> np.ndarray:
    """(samples, channels): a tone that rises, in a little noise; another one for each seed."""
    draw = np.random.default_rng(seed)
    times = np.arange(round(seconds * rate)) / rate
    low, rise = draw.uniform(200, 800), draw.uniform(100, 900)
    wave = 0.5 * np.sin(2 * np.pi * (low + rise * times) * times) + 0.01 * draw.standard_normal(len(times))
    return np.repeat(wave[:, None], channels, axis=1)


def encoded(samples: np.ndarray, kind: str = "WAV", *, rate: int = RATE, subtype: str | None = None) -> bytes:
    """The samples as a file of a kind that libsndfile writes."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def header(*, seconds: float = 1.0, rate: int = RATE, channels: int = 1, bits: int = 16, kept: int = 4_000) -> bytes:
    """A WAV whose header is true to itself and whose sound ends after `kept` bytes."""
    width = min(channels * bits // 8, 0xFFFF)
    size = min(round(seconds * rate) * width, 0xFFFFFFF0)
    form = struct.pack("<HHIIHH", 1, channels, rate, min(rate * width, 0xFFFFFFFF), width, bits)
    start = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", min(size + 36, 0xFFFFFFFF)) + start + bytes(kept)


def _patched(content: bytes, after: bytes, value: int) -> bytes:
    """With the 4 bytes that follow a mark replaced."""
    place = content.index(after) + len(after)
    return content[:place] + struct.pack("<I", value) + content[place + 4 :]


def _flac_of(total: int) -> bytes:
    """A FLAC whose header says so many samples (36 bits, at its byte 21)."""
    content = bytearray(encoded(tone(), "FLAC"))
    content[21] = (content[21] & 0xF0) | (total >> 32)
    content[22:26] = struct.pack(">I", total & 0xFFFFFFFF)
    return bytes(content)


def _spoiled(value: float) -> np.ndarray:
    samples = tone()
    samples[5_000] = value
    return samples


def _as(name: str, make: Callable[[], bytes]) -> Callable[[], Made]:
    return lambda: (name, make())


def _bad(name: str, what: str, says: str | tuple[str, ...], make: Callable[[], bytes], file: str = "a.wav") -> Case:
    return Case(name, what, "Q", says, _as(file, make))


def _good(name: str, what: str, says: str, make: Callable[[], bytes], file: str = "a.wav") -> Case:
    return Case(name, what, "N", says, _as(file, make))


def _mp3_in_wav() -> bytes:
    sound = encoded(tone(), "MP3")
    content = header(kept=0)
    content = content[:20] + struct.pack("<H", 0x55) + content[22:]
    return _patched(_patched(content, b"data", len(sound)), b"RIFF", len(sound) + 36) + sound


CASES = [
    _bad("empty", "a file of no bytes", "EMPTY", lambda: b""),
    _bad("text", "a text under the name of a WAV", "NOT_AUDIO", lambda: b"this is a text " * 50),
    _bad("zeros", "a file of zeros", "NOT_AUDIO", lambda: bytes(4_000)),
    _bad("image", "a PNG under the name of a WAV", "NOT_AUDIO", lambda: b"\x89PNG\r\n\x1a\n" + bytes(1_000)),
    _bad("noise", "random bytes under the name of an OGG", "NOT_AUDIO",
         lambda: np.random.default_rng(0).bytes(9_000), "a.ogg"),
    _bad("aiff", "an AIFF", "OTHER_FORMAT", lambda: encoded(tone(), "AIFF")),
    _bad("mp3", "an MP3 under the name of a WAV", "OTHER_FORMAT", lambda: encoded(tone(), "MP3")),
    _bad("no_samples", "a header and no sound", "NO_SAMPLES", lambda: encoded(tone()[:0])),
    _bad("zero_in_header", "a header that says no sound", "NO_SAMPLES", lambda: _patched(encoded(tone()), b"data", 0)),
    _bad("short", "ten samples", "TOO_SHORT", lambda: encoded(tone()[:10])),
    _bad("eight_hours", "a header that says eight hours", "CUT_SHORT",
         lambda: header(seconds=8 * 3600)),
    _bad("eight_hours_of_flac", "a FLAC whose header says eight hours", "TOO_LONG", lambda: _flac_of(8 * 3600 * RATE),
         "a.flac"),
    _bad("two_minutes", "two minutes of sound", "TOO_LONG", lambda: encoded(tone(120))),
    _bad("endless_flac", "a FLAC whose header says 50 days", "TOO_LONG", lambda: _flac_of((1 << 36) - 1), "a.flac"),
    _bad("no_length", "a FLAC that does not say how long it is", "NO_LENGTH", lambda: _flac_of(0), "a.flac"),
    _bad("lying_flac", "a FLAC whose header says twice its samples", ("UNREADABLE", "CUT_SHORT"),
         lambda: _flac_of(2 * RATE), "a.flac"),
    _bad("cut_wav", "a WAV that ends half-way", "CUT_SHORT", lambda: encoded(tone())[:16_000]),
    _bad("cut_flac", "a FLAC that ends half-way", "UNREADABLE", lambda: encoded(tone(), "FLAC")[:9_000], "a.flac"),
    _bad("cut_ogg", "an OGG that ends half-way", ("UNREADABLE", "CUT_SHORT", "NO_SAMPLES"),
         lambda: encoded(tone(), "OGG")[:4_000], "a.ogg"),
    _bad("lying_header", "a WAV whose header says four times its sound", "CUT_SHORT",
         lambda: _patched(encoded(tone()), b"data", 128_000)),
    _bad("many_channels", "64 channels", "CHANNELS", lambda: encoded(tone(0.1, channels=64))),
    _bad("most_channels", "a header of 65,535 channels", ("UNREADABLE", "CHANNELS", "NOT_AUDIO"),
         lambda: header(channels=65_535)),
    _bad("slow", "one sample a second", "BAD_RATE", lambda: encoded(tone(), rate=1)),
    _bad("fast", "2,000,000,000 samples a second", "BAD_RATE", lambda: encoded(tone(), rate=2_000_000_000)),
    _bad("nan", "a sample that is no number", "NOT_FINITE", lambda: encoded(_spoiled(np.nan), subtype="FLOAT")),
    _bad("infinite", "a sample without end", "NOT_FINITE", lambda: encoded(_spoiled(-np.inf), subtype="DOUBLE")),
    _bad("huge", "a sample of 1e30", "TOO_LOUD", lambda: encoded(_spoiled(1e30), subtype="FLOAT")),
    _bad("hugest", "samples that no sum can hold", "TOO_LOUD",
         lambda: encoded(np.full((RATE, 2), 3e38), subtype="FLOAT")),
    _bad("mp3_in_wav", "an MP3 inside a WAV", ("OTHER_FORMAT", "UNREADABLE"), _mp3_in_wav),
    _good("plain", "a WAV of 16 bits", "", lambda: encoded(tone())),
    _good("flac", "a FLAC", "", lambda: encoded(tone(), "FLAC"), "a.flac"),
    _good("vorbis", "an OGG of Vorbis", "", lambda: encoded(tone(), "OGG", subtype="VORBIS"), "a.ogg"),
    _good("opus", "an OGG of Opus", "", lambda: encoded(tone(), "OGG", subtype="OPUS"), "a.ogg"),
    _good("eight_bits", "a WAV of 8 bits", "", lambda: encoded(tone(), subtype="PCM_U8")),
    _good("deep", "a WAV of 24 bits", "", lambda: encoded(tone(), subtype="PCM_24")),
    _good("float", "a WAV of floats", "", lambda: encoded(tone(), subtype="FLOAT")),
    _good("law", "a WAV of A-law", "", lambda: encoded(tone(), subtype="ALAW")),
    _good("streamed", "a WAV that was piped, its length unknown", "",
          lambda: _patched(encoded(tone()), b"data", 0xFFFFFFFF)),
    _good("stereo", "two channels", "mixed to one channel", lambda: encoded(tone(channels=2))),
    _good("phone", "8,000 samples a second", "resampled", lambda: encoded(tone(rate=8_000), rate=8_000)),
    _good("studio", "96,000 samples a second", "resampled", lambda: encoded(tone(rate=96_000), rate=96_000)),
    _good("long", "three seconds", "cut", lambda: encoded(tone(3))),
    _good("brief", "a quarter of a second", "padded", lambda: encoded(tone(0.25))),
    _good("silent", "nothing but zeros", "silent", lambda: encoded(0 * tone())),
    _good("clipped", "four times too loud", "clipped", lambda: encoded(np.clip(8 * tone(), -1, 1))),
    _good("integers", "floats up to 32,767", "beyond full scale", lambda: encoded(32_767 * tone(), subtype="FLOAT")),
    _good("extension", "a FLAC under the name of a WAV", "other extension", lambda: encoded(tone(), "FLAC")),
]  # fmt: skip

VALID: dict[str, Callable[[], bytes]] = {
    "a.wav": lambda: encoded(tone(0.2)),
    "b.wav": lambda: encoded(tone(0.2, channels=2), subtype="FLOAT"),
    "c.wav": lambda: encoded(tone(0.2), subtype="MS_ADPCM"),
    "d.wav": lambda: encoded(tone(0.2), subtype="IMA_ADPCM"),
    "e.wav": lambda: encoded(tone(0.2), "WAVEX", subtype="PCM_24"),
    "f.wav": lambda: encoded(tone(0.2), "RF64"),
    "g.wav": lambda: encoded(tone(0.2, rate=8_000), rate=8_000, subtype="GSM610"),
    "h.flac": lambda: encoded(tone(0.2), "FLAC"),
    "i.flac": lambda: encoded(tone(0.2, channels=2), "FLAC", subtype="PCM_24"),
    "j.ogg": lambda: encoded(tone(0.2), "OGG", subtype="VORBIS"),
    "k.ogg": lambda: encoded(tone(0.2, channels=2), "OGG", subtype="OPUS"),
}


def mutated(count: int, *, seed: int) -> Iterator[tuple[str, bytes]]:
    """(file name, bytes): valid small files with bytes changed, cut out or doubled."""
    draw = np.random.default_rng(seed)
    files: list[tuple[str, Any]] = [(name, make()) for name, make in VALID.items()]
    for number in range(count):
        name, content = files[number % len(files)]
        changed = bytearray(content)
        for _ in range(int(draw.integers(1, 6))):
            reach = len(changed) if draw.random() < 0.5 else min(128, len(changed))  # headers as often as sound
            place, length = int(draw.integers(0, reach + 1)), int(draw.integers(1, 64))
            match int(draw.integers(0, 5)):
                case 0 if changed:
                    changed[place % len(changed)] ^= 1 << int(draw.integers(0, 8))
                case 1:
                    changed[place : place + length] = draw.bytes(length)
                case 2:  # numbers at their edges, where sizes and offsets are read
                    edge = int(draw.choice([0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]))
                    changed[place : place + 4] = struct.pack(">I" if draw.random() < 0.5 else "<I", edge)
                case 3:
                    del changed[place : place + length]
                case 4:
                    changed[place:place] = changed[place : place + length]
        yield f"{number:05d}-{name}", bytes(changed)
