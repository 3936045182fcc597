"""Spoken words, made by espeak-ng: a source of digits and things, and a target of commands in other voices and accents.

The words are those of Speech Commands (Warden 2018, 1804.03209): its ten digits and ten auxiliary words, and its ten
commands. No word, voice or accent is on both sides. Each voice says each word twice, at another speed and pitch, in a
second of noise; rows of a voice are a group, and a split never parts them.
"""

import json
import subprocess
import sys
import wave
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headstart.datasets import espeak
from headstart.errors import HeadstartError, UserError

RATE = 16_000
TAKES = 2  # of a word by a voice
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
THINGS = ("bed", "bird", "cat", "dog", "happy", "house", "Marvin", "Sheila", "tree", "wow")
COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")

Clip = NDArray[np.int16]


@dataclass(frozen=True)
class Speakers:
    """Who says what.

    accents: espeak-ng's languages, which the voices have in turn. noise_db: from the softest noise to the loudest, both
    against the word.
    """

    words: tuple[str, ...]
    accents: tuple[str, ...]
    voices: tuple[str, ...]
    noise_db: tuple[float, float]
    seed: int


SOURCE = Speakers(
    words=(*DIGITS, *THINGS),
    accents=("en-us", "en", "en-us-nyc"),
    voices=(
        "Alex", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo", "Jacky", "Lee",
        "Marco", "Mario", "Michael", "Mike", "Nguyen", "Reed", "RicishayMax", "Storm", "Tweaky", "adam", "anika",
        "announcer", "antonio", "aunty", "belinda", "benjamin", "boris", "david", "ed", "edward", "f1", "f2", "f3",
        "klatt", "klatt2", "klatt3", "m1", "m2", "m3", "m4", "max", "michel", "miguel", "norbert", "pablo", "paul",
        "pedro", "quincy",
    ),
    noise_db=(-30.0, -10.0),
    seed=0,
)  # fmt: skip
TARGET = Speakers(
    words=COMMANDS,
    accents=("en-gb-scotland", "en-029", "en-gb-x-gbcwmd", "en-gb-x-gbclan", "en-gb-x-rp"),
    voices=(
        "Alicia", "Mr serious", "RicishayMax2", "caleb", "croak", "edward2", "f4", "f5", "grandma", "grandpa",
        "gustave", "ian", "iven", "iven2", "iven3", "john", "kaukovalta", "klatt4", "klatt5", "klatt6", "linda", "m5",
        "m6", "m7", "m8", "marcelo", "mike2", "rob", "robert", "sandro", "shelby", "steph", "steph2", "travis",
        "victor", "whisper", "whisperf", "zac", "AnxiousAndy", "robosoft6",
    ),
    noise_db=(-25.0, -5.0),
    seed=1,
)  # fmt: skip


def spoken(folder: Path) -> int:
    """Writes the source to a folder: 2,000 clips."""
    return _write(SOURCE, folder)


def spoken_other(folder: Path) -> int:
    """Writes the target to a folder: 800 clips."""
    return _write(TARGET, folder)


def _write(who: Speakers, folder: Path) -> int:
    """Clips as WAV of 16 bits, one second at 16,000 samples a second, and a table: path, label, group (the voice)."""
    clips, table = speak(who)
    table.insert(0, "path", [f"clips/{number:04d}.wav" for number in range(len(clips))])
    (folder / "clips").mkdir()
    for clip, path in zip(clips, table["path"], strict=True):
        with wave.open(str(folder / path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(clip.astype("<i2").tobytes())
    table.to_csv(folder / "labels.csv", index=False)
    return len(clips)


def speak(who: Speakers) -> tuple[list[Clip], pd.DataFrame]:
    """Every word by every voice, TAKES times: speed, pitch, place in the second and noise are drawn from who.seed."""
    import soxr

    draw = np.random.default_rng(who.seed)
    wanted = [
        (f"{who.accents[place % len(who.accents)]}+{voice}", word)
        for place, voice in enumerate(who.voices)
        for word in who.words
        for _ in range(TAKES)
    ]
    orders = [
        (voice, word, int(draw.integers(130, 221)), int(draw.integers(25, 76)), int(draw.integers(20, 81)))
        for voice, word in wanted
    ]
    clips = []
    for sound in _spoken(orders):
        word = soxr.resample(sound / 32768.0, espeak.RATE, RATE, quality="VHQ")
        clips.append(_in_a_second(word, draw, noise_db=who.noise_db))
    table = pd.DataFrame({"label": [word for _, word in wanted], "group": [voice for voice, _ in wanted]})
    return clips, table


def _spoken(orders: list[tuple[str, str, int, int, int]]) -> list[NDArray[np.int16]]:
    """Raises:
    UserError: the extra [speech] is not installed.
    HeadstartError: espeak-ng failed.
    """
    for module in ("espeakng_loader", "soxr"):
        if find_spec(module) is None:
            raise UserError(
                f"the built-in datasets of spoken words are made with {module}, which is not installed: pip install "
                "'headstart[speech]', or name a dataset of your own"
            )
    command = [sys.executable, "-P", str(espeak.__file__)]
    done = subprocess.run(command, input=json.dumps(orders).encode(), capture_output=True, check=False)
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise HeadstartError(f"espeak-ng could not speak the words: {last[0]}")
    found, place = [], 0
    for _ in orders:
        end = place + 8 + int.from_bytes(done.stdout[place : place + 8], "little")
        found.append(np.frombuffer(done.stdout[place + 8 : end], "<i2"))
        place = end
    return found


def _in_a_second(word: NDArray[np.float64], draw: np.random.Generator, *, noise_db: tuple[float, float]) -> Clip:
    """The word somewhere in a second, at some loudness, with noise whose colour is drawn: (RATE,)."""
    loud = np.flatnonzero(np.abs(word) > 0.01 * np.abs(word).max())
    word = word[loud[0] : loud[-1] + 1][:RATE]
    before = int(draw.integers(0, RATE - len(word) + 1))
    clip = np.zeros(RATE)
    clip[before : before + len(word)] = word
    below = draw.uniform(*noise_db)
    noise = _noise(draw, slope=draw.uniform(0, 1))
    clip += noise * np.sqrt((word**2).mean()) * 10 ** (below / 20)
    clip *= draw.uniform(0.1, 0.9) / np.abs(clip).max()
    return np.rint(clip * 32767).astype(np.int16)


def _noise(draw: np.random.Generator, *, slope: float) -> NDArray[np.float64]:
    """(RATE,) of mean square 1; white where the slope is 0, pink where it is 1."""
    spectrum = np.fft.rfft(draw.standard_normal(RATE))
    spectrum /= np.maximum(np.arange(len(spectrum)), 20) ** (slope / 2)
    found = np.fft.irfft(spectrum, RATE)
    return np.asarray(found / np.sqrt((found**2).mean()))
