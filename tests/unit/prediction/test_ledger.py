"""Predictions that grow: what is new is predicted once, what was changed again, and a kill loses nothing."""

import hashlib
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

import tasks.predict
from headstart.errors import BusyError, DataError, UserError
from headstart.modalities.table import IMAGE
from headstart.prediction import ledger
from headstart.prediction.inputs import find_inputs
from headstart.prediction.ledger import find_new, holding, predict_new


@pytest.fixture
def folder(domain, tmp_path) -> Path:
    return Path(shutil.copytree(domain.root / "data" / "sketches" / "disc", tmp_path / "new"))


@pytest.fixture
def add(model, decoder, tmp_path):
    """Adds what is new at a path to the folder `out`; (predicted, rejected, known already)."""

    def adding(given: Path) -> tuple[int, int, int]:
        with holding(tmp_path / "out"):
            new = find_new(find_inputs(given, IMAGE), tmp_path / "out")
            counts = predict_new(
                model, new, tmp_path / "out", name="m/1", workers=decoder, batch_size=5, progress=lambda done, of: None
            )
        return counts.predicted, counts.rejected, new.already

    return adding


def parts(out: Path) -> list[Path]:
    return sorted(out.glob("date=*/part-*.parquet"))


def test_what_is_new_is_predicted_once_and_what_was_changed_again(add, folder, tmp_path):
    assert add(folder) == (24, 0, 0)
    assert add(folder) == (0, 0, 24)
    assert len(parts(tmp_path / "out")) == 1
    shutil.copy(folder / "000.png", folder / "late.png")
    os.utime(folder / "001.png", ns=(1, 1))
    assert add(folder) == (2, 0, 23)
    table = pd.read_parquet(tmp_path / "out")
    assert len(table) == 26
    assert table["path"].value_counts().to_dict()["001.png"] == 2
    assert set(table["model"]) == {"m/1"}
    assert pd.to_datetime(table["predicted_at"]).dt.tz is not None
    assert "probability.bar" in table.columns


def test_the_same_as_predict_says(add, model, folder, decoder, tmp_path):
    from headstart.prediction.predict import predict

    add(folder)
    predict(
        model,
        find_inputs(folder, IMAGE),
        tmp_path / "p.parquet",
        workers=decoder,
        batch_size=5,
        progress=lambda done, of: None,
    )
    plain = pd.read_parquet(tmp_path / "p.parquet")
    grown = pd.read_parquet(parts(tmp_path / "out")[0])
    pd.testing.assert_frame_equal(grown[list(plain.columns)], plain)


def test_what_cannot_be_read_is_listed_and_not_tried_again_until_it_changes(add, folder, tmp_path):
    (folder / "000.png").write_bytes(b"no")
    assert add(folder) == (23, 1, 0)
    assert add(folder) == (0, 0, 24)
    refused = pd.read_parquet(tmp_path / "out" / "rejected")
    assert refused["path"].tolist() == ["000.png"]
    assert refused["reason"][0].startswith("NOT_AN_IMAGE")
    shutil.copy(folder / "001.png", folder / "000.png")
    assert add(folder) == (1, 0, 23)


def test_a_row_whose_file_comes_later_is_predicted_then(add, folder, tmp_path):
    pd.DataFrame({"path": ["new/001.png", "new/late.png", "new/001.png"]}).to_csv(tmp_path / "rows.csv", index=False)
    assert add(tmp_path / "rows.csv") == (1, 1, 0)
    assert add(tmp_path / "rows.csv") == (0, 0, 3)
    shutil.copy(folder / "000.png", folder / "late.png")
    assert add(tmp_path / "rows.csv") == (1, 0, 2)


def test_a_kill_loses_the_part_it_was_at_and_nothing_else(add, model, folder, decoder, tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "PART", 10)
    done = []

    class Dying:
        card, batch_size = model.card, 5

        def predict(self, images):
            if len(done) == 3:  # in the middle of the second part
                raise KeyboardInterrupt
            done.append(len(images))
            return model.predict(images)

    out = tmp_path / "out"
    new = find_new(find_inputs(folder, IMAGE), out)
    with pytest.raises(KeyboardInterrupt):
        predict_new(Dying(), new, out, name="m", workers=decoder, batch_size=5, progress=lambda done, of: None)
    assert len(pd.read_parquet(out)) == 10
    leftover = parts(out)[0].with_name(".part-1.parquet.tmp-1-ff")  # as SIGKILL leaves one
    leftover.write_bytes(b"half")
    assert add(folder) == (14, 0, 10)
    assert not leftover.exists()
    table = pd.read_parquet(out)
    assert sorted(table["path"]) == sorted(path.name for path in folder.iterdir())


def test_between_the_two_files_of_a_part_nothing_counts_as_predicted(add, folder, tmp_path, monkeypatch):
    (folder / "000.png").write_bytes(b"no")
    replace = os.replace

    def dies(draft, place):
        if "rejected" not in str(place):
            raise KeyboardInterrupt
        replace(draft, place)

    monkeypatch.setattr(os, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        add(folder)
    monkeypatch.undo()
    assert add(folder) == (23, 0, 1)


def test_one_process_at_a_time_and_a_folder(tmp_path):
    with (
        holding(tmp_path / "out"),
        pytest.raises(BusyError, match="another process is adding predictions"),
        holding(tmp_path / "out"),
    ):
        pass
    (tmp_path / "p.parquet").write_bytes(b"")
    with (
        pytest.raises(UserError, match="p.parquet is a file; new predictions are added to a folder"),
        holding(tmp_path / "p.parquet"),
    ):
        pass


def test_a_part_that_is_none_is_named(add, folder, tmp_path):
    place = tmp_path / "out" / "date=2026-01-01"
    place.mkdir(parents=True)
    (place / "part-1.parquet").write_bytes(b"no")
    with pytest.raises(DataError, match=r"part-1\.parquet is no part of predictions"):
        add(folder)


# ---- tables that hold the rows themselves --------------------------------------------------------------


@pytest.fixture
def add_texts(of_texts, tmp_path, monkeypatch):
    """Adds what is new in a table of texts to the folder `out`, as the deployment does it."""
    monkeypatch.chdir(tmp_path)

    def adding(texts: list[str], name: str = "new.csv") -> tuple[int, int, int]:
        table, path = pd.DataFrame({"text": texts}), tmp_path / name
        table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)
        counts, already = tasks.predict.predict_new(str(of_texts), path, tmp_path / "out", device="cpu")
        return counts.predicted, counts.rejected, already

    return adding


def test_texts_of_a_table_are_known_again_by_what_they_say(add_texts, tmp_path):
    assert add_texts(["a good one", "bad, bad", "a bell\a"]) == (2, 1, 0)
    assert add_texts(["a good one", "bad, bad", "a bell\a"]) == (0, 0, 3)
    assert add_texts(["so good", "bad, bad", "a good one", "so good"], "more.parquet") == (1, 0, 2)
    table = pd.concat([pd.read_parquet(part) for part in parts(tmp_path / "out")]).sort_values("path")
    assert table["path"].tolist() == ["more.parquet row 1", "new.csv row 2", "new.csv row 3"]
    assert table["prediction"].tolist() == ["good", "good", "bad"]
    assert table["content"].tolist() == [
        hashlib.sha256(text.encode()).hexdigest() for text in ("so good", "a good one", "bad, bad")
    ]
    assert table["size"].tolist() == [7, 10, 8]
    refused = pd.read_parquet(tmp_path / "out" / "rejected")
    assert refused["reason"].tolist() == ["CONTROL: character U+0007 at place 6; that is no text"]


def test_the_rows_of_each_part_keep_their_own_texts(add_texts, tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "PART", 3)
    texts = [f"{('good', 'bad')[number % 3 == 0]} {number}" for number in range(10)]
    assert add_texts(texts[4:6]) == (2, 0, 0)
    assert add_texts(texts) == (8, 0, 2)
    table = pd.read_parquet(tmp_path / "out")
    said = dict(zip(table["content"], table["prediction"], strict=True))
    assert [said[hashlib.sha256(text.encode()).hexdigest()] for text in texts] == [text.split()[0] for text in texts]


def test_files_of_texts_and_rows_of_tables_share_a_folder(add_texts, of_texts, tmp_path):
    assert add_texts(["a good one"]) == (1, 0, 0)
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.txt").write_text("a good one")
    for counts in ((1, 0), (0, 1)):
        found, already = tasks.predict.predict_new(str(of_texts), folder, tmp_path / "out", device="cpu")
        assert (found.predicted, already) == counts
    assert sorted(pd.read_parquet(tmp_path / "out")["content"] == "") == [False, True]


def test_parts_of_before_there_were_tables_of_texts_are_known(add, folder, tmp_path):
    assert add(folder) == (24, 0, 0)
    (part,) = parts(tmp_path / "out")
    pd.read_parquet(part).drop(columns="content").to_parquet(part)
    assert add(folder) == (0, 0, 24)
