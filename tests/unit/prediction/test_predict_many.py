"""Many images through a delivered model: the right row for each, bad ones set aside, memory bounded."""

import shutil
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headstart.errors import DataError, HeadstartError
from headstart.modalities.table import IMAGE
from headstart.prediction import predict as module
from headstart.prediction.inputs import Inputs, find_inputs
from headstart.prediction.predict import predict


@pytest.fixture
def folder(domain, tmp_path) -> Path:
    return Path(shutil.copytree(domain.root / "data" / "sketches", tmp_path / "new"))


def ask(model, given: Path, out: Path | None, decoder, batch_size: int = 10, seen: list | None = None):
    shown = seen if seen is not None else []
    return predict(
        model,
        find_inputs(given, IMAGE),
        out,
        workers=decoder,
        batch_size=batch_size,
        progress=lambda done, of: shown.append((done, of)),
    )


def test_each_file_gets_what_the_model_gives_for_its_row_in_the_pack(model, domain, folder, decoder, tmp_path):
    counts = ask(model, folder, tmp_path / "p.parquet", decoder)
    found = pd.read_parquet(tmp_path / "p.parquet")
    assert (counts.predicted, counts.rejected) == (72, 0)
    assert found.columns.tolist() == ["path", "prediction", *(f"probability.{name}" for name in model.card.classes)]
    pack = domain.pack
    known = pack.examples["path"].notna().to_numpy()  # test rows are blind
    expected = pd.DataFrame(model.probabilities(np.asarray(pack.inputs[known])), index=pack.examples["path"][known])
    assert found.set_index("path").loc[expected.index].iloc[:, 1:].to_numpy() == pytest.approx(
        expected.to_numpy(), abs=1e-5
    )
    assert found["path"].tolist() == sorted(found["path"])


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_the_batch_size_and_the_kind_of_file_change_nothing(model, folder, decoder, tmp_path, batch_size):
    ask(model, folder, tmp_path / "whole.parquet", decoder)
    ask(model, folder, tmp_path / "p.csv", decoder, batch_size=batch_size)
    whole, found = pd.read_parquet(tmp_path / "whole.parquet"), pd.read_csv(tmp_path / "p.csv")
    pd.testing.assert_frame_equal(found, whole, check_dtype=False, atol=1e-5)


def test_bad_files_are_listed_with_their_reason_and_the_others_predicted(model, folder, decoder, tmp_path):
    (folder / "bar" / "000.png").write_bytes(b"not an image")
    seen: list = []
    counts = ask(model, folder, tmp_path / "p.csv", decoder, seen=seen)
    assert (counts.predicted, counts.rejected) == (71, 1)
    rejected = pd.read_csv(tmp_path / "p.rejected.csv")
    assert rejected["path"].tolist() == ["bar/000.png"]
    assert rejected["reason"][0].startswith("NOT_AN_IMAGE: ")
    assert counts.first_rejected == (("bar/000.png", rejected["reason"][0]),)
    assert len(pd.read_csv(tmp_path / "p.csv")) == 71
    assert seen[-1] == (72, 72)


def test_rows_of_a_table_are_predicted_in_its_order_twice_where_named_twice(model, folder, decoder, tmp_path):
    rows = ["new/disc/001.png", "new/bar/002.png", "gone.png", "new/disc/001.png"]
    pd.DataFrame({"path": rows}).to_csv(tmp_path / "rows.csv", index=False)
    assert ask(model, tmp_path / "rows.csv", tmp_path / "p.csv", decoder).rejected == 1
    found = pd.read_csv(tmp_path / "p.csv")
    assert found["path"].tolist() == [rows[0], rows[1], rows[3]]
    assert found.iloc[0].tolist() == found.iloc[2].tolist()


def test_where_none_can_be_read_nothing_is_written(model, tmp_path, decoder):
    (tmp_path / "new").mkdir()
    for number in range(7):
        (tmp_path / "new" / f"{number}.png").write_bytes(b"no")
    with pytest.raises(DataError) as caught:
        ask(model, tmp_path / "new", tmp_path / "p.csv", decoder)
    assert str(caught.value).startswith("none of 7 images can be read: 0.png: NOT_AN_IMAGE")
    assert "4.png" in str(caught.value)
    assert "5.png" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_only_a_bounded_number_of_files_is_ahead_of_the_network(model, folder, tmp_path, monkeypatch):
    """Memory is flat however long the input: the names of a million rows are not read before the first is predicted."""
    monkeypatch.setattr(module, "CHUNK", 2)
    monkeypatch.setattr(module, "AHEAD", 3)
    name, asked, gaps = "bar/000.png", [], []

    def names():
        for number in range(100):
            asked.append(number)
            yield name

    def progress(done: int, of: int) -> None:
        gaps.append(len(asked) - done)

    with ThreadPoolExecutor(1) as workers:
        inputs = Inputs(folder, 100, names)
        predict(model, inputs, tmp_path / "p.csv", workers=workers, batch_size=5, progress=progress)
    assert len(pd.read_csv(tmp_path / "p.csv")) == 100
    assert max(gaps) <= 2 * (3 + 1)


def test_a_dead_worker_is_said_and_leaves_no_file(model, folder, tmp_path):
    class Dying(ProcessPoolExecutor):
        def submit(self, *_):
            raise BrokenProcessPool

    with Dying(1) as workers, pytest.raises(HeadstartError, match="a worker process died"):
        ask(model, folder, tmp_path / "p.csv", workers)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
