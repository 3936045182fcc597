"""Image files that are broken or unusual, all in one dataset through the real ingest: what comes out of each."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from corpus.file_system import folder_of_classes
from corpus.images import CASES
from tally import trying

from headstart.datasets.ingest import ingest_target
from headstart.datasets.pack import Pack, read_test_labels
from headstart.datasets.rows import inspect_rows
from headstart.modalities.image.modality import fit
from tasks import workers

PROMISE = "Bad input: images come out as the table says"


@dataclass(frozen=True)
class Found:
    """What came out. rejected: reason by path. changes, pixels: by path."""

    rejected: dict[str, str]
    changes: dict[str, tuple[str, ...]]
    pixels: dict[str, np.ndarray]
    pack: Pack
    canary: Path


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """(file name, bytes, expected picture) of each case."""
    return {case.name: case.make() for case in CASES}


@pytest.fixture(scope="module")
def found(made, small, tmp_path_factory) -> Any:
    """All cases among good pictures, through the real ingest in the real worker processes."""
    root = tmp_path_factory.mktemp("images")
    data = folder_of_classes(root / "data" / "set")
    for name, content, _ in made.values():
        (data / "cat" / name).write_bytes(content)
    settings = small.model_copy(update={"max_rejected": 1.0, "near_duplicates": 1.0})
    canary = root / "canary"
    gs = root / "bin" / "gs"  # what Pillow would call for PostScript
    gs.parent.mkdir()
    gs.write_text(f"#!/bin/sh\ntouch {canary}\n")
    gs.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{gs.parent}{os.pathsep}{os.environ['PATH']}")
        patch.chdir(root)
        workers.stop()  # others may have been started before, with another PATH
        how = {"settings": settings, "workers": workers.pool(), "progress": lambda done, of: None}
        with trying(PROMISE, times=0):
            ingest_target(data, root / "packs" / "set", seed=0, **how)
            rows = inspect_rows(data, **how)
        workers.stop()
    pack = Pack(root / "packs" / "set")
    rejected = pd.read_csv(pack.directory / "rejected.csv").set_index("path")["reason"].to_dict()
    place_of = dict(zip(pack.examples["id"], pack.examples["path"], strict=True))
    tested = read_test_labels(pack.directory)
    place_of |= dict(zip(tested["id"], tested["path"], strict=True))
    pixels = {place_of[name]: pack.inputs[row] for row, name in enumerate(pack.examples["id"])}
    changes = dict(zip(rows.facts["path"], rows.facts["changes"], strict=True))
    return Found(rejected, changes, pixels, pack, canary)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_comes_out_as_the_table_says(case, made, found):
    name, _, expected = made[case.name]
    place = f"cat/{name}"
    with trying(PROMISE):
        if case.outcome == "Q":
            assert found.rejected[place].startswith(case.says)
            assert ": " in found.rejected[place]
            assert place not in found.pixels
            return
        assert place not in found.rejected
        wanted = fit(expected, size=16, channels=3).transpose(2, 0, 1).astype(int)
        assert np.abs(found.pixels[place] - wanted).mean() < 5  # what JPEG and palettes take
        assert any(case.says in change for change in found.changes[place]) == bool(case.says)


def test_what_was_done_is_counted_and_no_program_was_called(found):
    counted = Counter(change for changes in found.changes.values() for change in changes)
    assert found.pack.card.changed == dict(sorted(counted.items()))
    assert counted["turned"] == 7
    assert not found.canary.exists()
    assert len(found.rejected) == sum(found.pack.card.rejected.values()) == sum(case.outcome == "Q" for case in CASES)
    assert set(found.pack.card.rejected) == {
        "EMPTY", "NOT_AN_IMAGE", "TOO_LARGE", "TOO_LONG", "TOO_SMALL", "UNREADABLE"
    }  # fmt: skip
