"""Broken and unusual texts and clips, each kind in a dataset, through the real ingest: what comes out of each."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from corpus import audio
from corpus.case import Case
from corpus.text import TEXTS
from tally import trying

from headstart.datasets.ingest import ingest_target
from headstart.datasets.pack import Pack, read_test_labels
from headstart.datasets.rows import inspect_rows
from headstart.datasets.settings import DataSettings
from tasks import workers

OF_TEXTS = "Bad input: texts come out as the table says"
OF_CLIPS = "Bad input: clips come out as the table says"
OTHERS = 20  # good rows of each class
IN_FILES = [case for case in TEXTS if not case.name.startswith(("surrogate", "50 MB row", "empty cell"))]
IN_CELLS = [
    case
    for case in TEXTS
    if isinstance(case.make()[0], str) and case.name not in ("surrogate", "50 MB row")  # no table holds them
]
HOW: dict[str, Any] = {"max_rejected": 1.0, "near_duplicates": 1.0, "smallest_test": 0}


@dataclass(frozen=True)
class Found:
    """What came out. rejected: reason by path. changes: by path. taken: paths of the pack's rows."""

    rejected: dict[str, str]
    changes: dict[str, tuple[str, ...]]
    taken: set[str]
    pack: Pack


def ingested(data: Path, promise: str, settings: DataSettings) -> Found:
    """The folder through ingest and inspection, in the real worker processes."""
    how = {"settings": settings, "workers": workers.pool(), "progress": lambda done, of: None}
    with trying(promise, times=0):
        ingest_target(data, data.parent / "pack", seed=0, **how)
        rows = inspect_rows(data, **how)
    pack = Pack(data.parent / "pack")
    rejected = pd.read_csv(pack.directory / "rejected.csv").set_index("path")["reason"].to_dict()
    changes = dict(zip(rows.facts["path"], rows.facts["changes"], strict=True))
    taken = {*pack.examples["path"].dropna(), *read_test_labels(pack.directory)["path"]}
    return Found(rejected, changes, taken, pack)


def assert_outcome(case: Case, place: str, found: Found) -> None:
    if case.outcome == "Q":
        assert found.rejected[place].startswith(tuple(f"{word}: " for word in case.words))
        assert place not in found.taken
        return
    assert place not in found.rejected
    assert place in found.taken
    assert not case.says or case.says in found.changes[place]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Found:
    """Files of texts, in folders of classes."""
    data = tmp_path_factory.mktemp("texts") / "set"
    for name in ("good", "bad"):
        (data / name).mkdir(parents=True)
        for row in range(OTHERS):
            (data / name / f"{row}.txt").write_text(f"{name} text number {row}, as {name} as any")
    for number, case in enumerate(IN_FILES):
        content, _ = case.make()
        content = content.encode() if isinstance(content, str) else content
        (data / "good" / f"case {number}.txt").write_bytes(content)
    found = ingested(data, OF_TEXTS, DataSettings(modality="text", **HOW))
    shutil.rmtree(data)  # 50 MB
    return found


@pytest.mark.parametrize("number", range(len(IN_FILES)), ids=[case.name for case in IN_FILES])
def test_each_text_comes_out_as_the_table_says(number, files):
    with trying(OF_TEXTS):
        assert_outcome(IN_FILES[number], f"good/case {number}.txt", files)


def test_what_was_done_to_texts_is_counted(files):
    assert sum(files.pack.card.rejected.values()) == sum(case.outcome == "Q" for case in IN_FILES)
    assert set(files.pack.card.rejected) == {"EMPTY", "CONTROL", "NOT_UTF8", "TOO_LARGE"}
    for change in ("byte order mark", "composed (NFC)", "line ends", "cut"):
        assert files.pack.card.changed[change] >= 1


@pytest.fixture(scope="module")
def cells(tmp_path_factory) -> tuple[Found, dict[str, int]]:
    """Texts in the cells of a table, and the row that each stands in."""
    data = tmp_path_factory.mktemp("cells") / "set"
    data.mkdir()
    texts = [f"row {row} of {name} texts" for name in ("good", "bad") for row in range(OTHERS)]
    table = pd.DataFrame({"text": texts, "label": ["good"] * OTHERS + ["bad"] * OTHERS})
    rows = {case.name: len(table) + 2 + number for number, case in enumerate(IN_CELLS)}
    own = pd.DataFrame({"text": [case.make()[0] for case in IN_CELLS], "label": "good"})
    pd.concat([table, own]).to_csv(data / "texts.csv", index=False)
    return ingested(data, OF_TEXTS, DataSettings(modality="text", **HOW)), rows


@pytest.mark.parametrize("case", IN_CELLS, ids=lambda case: case.name)
def test_each_text_of_a_table_comes_out_as_the_table_says(case, cells):
    found, rows = cells
    with trying(OF_TEXTS):
        assert_outcome(case, f"texts.csv row {rows[case.name]}", found)


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Found:
    data = tmp_path_factory.mktemp("clips") / "set"
    for number, name in enumerate(("high", "low")):
        (data / name).mkdir(parents=True)
        for row in range(OTHERS):
            sound = audio.encoded(audio.tone(seed=100 + OTHERS * number + row))
            (data / name / f"{row}.wav").write_bytes(sound)
    for case in audio.CASES:
        name, content = case.make()
        (data / "high" / f"{case.name}{Path(name).suffix}").write_bytes(content)
    return ingested(data, OF_CLIPS, DataSettings(modality="audio", **HOW))


@pytest.mark.parametrize("case", audio.CASES, ids=lambda case: case.name)
def test_each_clip_comes_out_as_the_table_says(case, clips):
    with trying(OF_CLIPS):
        assert_outcome(case, f"high/{case.name}{Path(case.make()[0]).suffix}", clips)


def test_what_was_done_to_clips_is_counted(clips):
    assert sum(clips.pack.card.rejected.values()) == sum(case.outcome == "Q" for case in audio.CASES)
    for change in ("mixed to one channel", "resampled", "cut", "padded", "silent", "clipped", "other extension"):
        assert clips.pack.card.changed[change] >= 1
