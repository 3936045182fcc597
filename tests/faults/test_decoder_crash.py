"""A file that ends the process which decodes it is set aside; this process, the other files and the run go on."""

from concurrent.futures import ProcessPoolExecutor

import pandas as pd
import pytest
from corpus.crash import MARK, decode_or_die
from corpus.file_system import folder_of_classes
from tally import trying

from headstart.datasets import rows
from headstart.datasets.ingest import ingest_target
from headstart.errors import HeadstartError
from tasks import workers

PROMISE = "Bad input: a file that kills its decoder is set aside, the run goes on"


@pytest.fixture
def ingest(tmp_path, small, monkeypatch):
    monkeypatch.setattr(rows, "decode_chunk", decode_or_die)
    settings = small.model_copy(update={"max_rejected": 0.5})

    def run(data, pool):
        how = {"settings": settings, "seed": 0, "workers": pool, "progress": lambda done, of: None}
        return ingest_target(data, tmp_path / "packs" / "set", **how)

    return run


def test_files_that_kill_are_set_aside_and_all_others_are_read(ingest, tmp_path):
    data = folder_of_classes(
        tmp_path / "set", rows=150
    )  # several chunks, some of them under way in a process that dies
    for name in ("cat/000-first.png", "cat/80.jpg", "dog/zz-last.png"):
        (data / name).write_bytes(MARK)
    with trying(PROMISE, times=3):
        card = ingest(data, workers.pool())
        workers.stop()
        assert card.rejected == {"DECODER_CRASH": 3}
        assert sum(card.splits.values()) == 300
        written = pd.read_csv(tmp_path / "packs" / "set" / "rejected.csv")
        assert sorted(written["path"]) == ["cat/000-first.png", "cat/80.jpg", "dog/zz-last.png"]
        assert set(written["reason"]) == {
            "DECODER_CRASH: twice, reading it ended the process (killed, or out of memory)"
        }


def test_where_one_after_the_other_dies_it_is_the_machines_fault(ingest, tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MOST_CRASHES", 1)
    data = folder_of_classes(tmp_path / "set")
    for name in ("cat/a.png", "cat/b.png"):
        (data / name).write_bytes(MARK)
    with pytest.raises(HeadstartError, match="a process that decodes files died") as failed:
        ingest(data, workers.pool())
    workers.stop()
    assert failed.value.exit_code == 1
    assert not (tmp_path / "packs" / "set").exists()


def test_a_pool_that_starts_no_new_processes_ends_in_one_clear_error(ingest, tmp_path):
    data = folder_of_classes(tmp_path / "set")
    (data / "cat" / "a.png").write_bytes(MARK)
    with (
        ProcessPoolExecutor(1, mp_context=workers.multiprocessing.get_context("forkserver")) as pool,
        pytest.raises(HeadstartError, match="a process that decodes files died"),
    ):
        ingest(data, pool)
