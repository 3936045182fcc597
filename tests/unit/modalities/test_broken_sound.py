"""The corpus of bad sound files, and mutated ones, through the decoder: each comes out as its table says."""

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "faults"))
from corpus.audio import CASES, mutated

from headstart.modalities.audio.modality import HowAudio, decode


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_comes_out_as_the_table_says(case, tmp_path):
    name, content = case.make()
    (tmp_path / name).write_bytes(content)
    found = decode(tmp_path / name, HowAudio())
    if case.outcome == "Q":
        assert found.values is None
        assert found.reason.split(":")[0] in case.words
    else:
        assert found.reason == ""
        assert found.changes == tuple(word for word in case.words if word)


def test_mutated_files_raise_nothing_and_take_no_time(tmp_path):
    codes: Counter[str] = Counter()
    for name, content in mutated(400, seed=1):
        (tmp_path / name).write_bytes(content)
        codes[decode(tmp_path / name, HowAudio()).reason.split(":")[0]] += 1
    assert codes["UNREADABLE"] > 20
    assert 50 < codes[""] < 350
    assert codes["OUT_OF_MEMORY"] == 0
