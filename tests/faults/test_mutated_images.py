"""Small valid images with random changes, through the real ingest: neither it nor a decoding process dies."""

import pytest
from corpus.file_system import folder_of_classes
from corpus.images import mutated
from tally import trying

from headstart.datasets.ingest import ingest_target
from headstart.datasets.settings import DataSettings
from tasks import workers

PROMISE = "Mutated images: ingest goes through all of them"
SETTINGS = DataSettings(image_size=16, channels=3, max_rejected=1.0, smallest_test=0)


def through_ingest(root, count: int, *, seed: int) -> dict[str, int]:
    """Ingests mutated files in the real worker processes, among a few valid ones; what was set aside, by its code."""
    folder_of_classes(root / "data")
    for name, content in mutated(count, seed=seed):
        (root / "data" / "cat" / name).write_bytes(content)
    with trying(PROMISE, times=count):
        card = ingest_target(
            root / "data",
            root / "packs" / "set",
            settings=SETTINGS,
            seed=0,
            workers=workers.pool(),
            progress=lambda done, of: None,
        )
    return card.rejected


def test_a_slice(tmp_path):
    rejected = through_ingest(tmp_path, 600, seed=1)
    assert "UNREADABLE" in rejected
    assert "DECODER_CRASH" not in rejected
    assert sum(rejected.values()) > 200  # or the changes were none


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(2, 12))
def test_a_thousand(tmp_path, seed):
    rejected = through_ingest(tmp_path, 1000, seed=seed)
    assert "DECODER_CRASH" not in rejected
    assert sum(rejected.values()) > 300
