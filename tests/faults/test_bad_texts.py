"""Bad texts through decode(): each is set aside with its code, or read, and what was done to it is counted."""

import resource

import numpy as np
import pytest
from corpus.case import Case
from corpus.text import TEXTS

from headstart.modalities.text.modality import HowText, decode

HOW = HowText()


def read(row: np.ndarray) -> str:
    return bytes((row[row != 0] - 1).astype(np.uint8)).decode()


@pytest.mark.parametrize("case", TEXTS, ids=lambda case: case.name)
def test_a_text_is_set_aside_or_read_as_what_it_is(case: Case, tmp_path):
    content, expected = case.make()
    source = content
    if isinstance(content, bytes):
        source = tmp_path / "a.txt"
        source.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = decode(source, HOW)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB; 50 MB are not read
    if case.outcome == "Q":
        assert found.values is None
        assert found.reason.startswith(f"{case.says}: ")
        assert len(found.reason) < 200
    else:
        assert found.reason == ""
        assert set(found.changes) == ({case.says} if case.says else set())
        assert not expected or read(found.values) == expected
