"""The spoken words: nothing on both sides, equal bytes from build to build, the rows of a voice are a group."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from headstart.datasets import espeak
from headstart.datasets.builtin import materialise
from headstart.datasets.spoken import RATE, SOURCE, TAKES, TARGET, speak
from headstart.datasets.table import DATASETS
from headstart.errors import HeadstartError, UserError
from headstart.modalities.audio.modality import HowAudio, decode

FEW = replace(TARGET, voices=TARGET.voices[:3], words=("yes", "stop"))


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "spoken_other"
    assert materialise("spoken_other", folder) == DATASETS.get("spoken_other").rows == 800
    assert pd.read_csv(folder / "labels.csv")["group"].nunique() == DATASETS.get("spoken_other").groups == 40
    return folder


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def test_nothing_is_on_both_sides():
    for name in ("words", "voices", "accents"):
        ours, theirs = getattr(SOURCE, name), getattr(TARGET, name)
        assert not set(ours) & set(theirs)
        assert len(set(ours)) == len(ours)
        assert len(set(theirs)) == len(theirs)
    for who, name in ((SOURCE, "spoken"), (TARGET, "spoken_other")):
        assert len(who.words) * len(who.voices) * TAKES == DATASETS.get(name).rows


def test_two_builds_are_the_same_bytes(written, tmp_path):
    materialise("spoken_other", tmp_path / "again")
    assert digest(tmp_path / "again") == digest(written)


def test_a_voice_is_a_group_of_all_words(written):
    table = pd.read_csv(written / "labels.csv", na_filter=False)
    assert list(table.columns) == ["path", "label", "group"]
    assert table["group"].nunique() == 40
    assert set(table["label"]) == set(TARGET.words)
    assert (table.groupby(["group", "label"]).size() == TAKES).all()


def test_clips_are_seconds_that_the_decoder_takes_as_they_are(written):
    paths = sorted((written / "clips").iterdir())
    assert len(paths) == 800
    found = [decode(path, HowAudio()) for path in paths]
    assert {item.changes for item in found} == {()}
    assert {soundfile.info(path).subtype for path in paths[::100]} == {"PCM_16"}
    assert len({item.sha256 for item in found}) == 800, "no clip is there twice"
    assert all(0.09 < float(item.facts["peak"]) < 0.91 for item in found)


def test_the_word_is_heard_above_the_noise():
    """A tenth of a second of the loudest stands well above the softest."""
    clips, _ = speak(replace(FEW, noise_db=(-25.0, -25.0)))
    for clip in clips:
        power = (clip.astype(float).reshape(-1, RATE // 10) ** 2).mean(1)
        assert clip.shape == (RATE,)
        assert power.max() > 20 * power.min()


def test_takes_differ_and_another_seed_speaks_otherwise():
    clips, table = speak(FEW)
    assert len(clips) == len(table) == 3 * 2 * TAKES
    assert not np.array_equal(clips[0], clips[1])
    other, _ = speak(replace(FEW, seed=9))
    assert not np.array_equal(clips[0], other[0])


def test_an_unknown_voice_is_said():
    with pytest.raises(HeadstartError, match=r"could not speak the words: espeak-ng has no voice en-029\+nobody"):
        speak(replace(FEW, voices=("f4", "nobody")))


def test_without_the_extra_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("headstart.datasets.spoken.find_spec", lambda name: None if "espeak" in name else name)
    with pytest.raises(
        UserError, match=r"made with espeakng_loader, which is not installed: pip install 'headstart\[sp"
    ):
        materialise("spoken", tmp_path / "spoken")
    assert not (tmp_path / "spoken").exists()


def test_the_library_is_loaded_in_a_process_of_its_own():
    """Its state cannot be reset, and it is under another licence."""
    assert "espeakng_loader" not in espeak.__dict__
    maps = Path("/proc/self/maps")
    if maps.exists():
        speak(replace(FEW, voices=("f4",)))
        assert "espeak" not in maps.read_text()
