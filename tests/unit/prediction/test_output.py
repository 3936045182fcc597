"""Where predictions go: whole files or none, nothing overwritten unasked, the same rows as CSV and as Parquet."""

import pandas as pd
import pyarrow.parquet
import pytest

from headstart.errors import DataError, UserError
from headstart.prediction import output as module
from headstart.prediction.output import check_output, rejected_path, sinks

ROWS = pd.DataFrame({"path": [f"{row}.png" for row in range(7)], "probability.a": [row / 8 for row in range(7)]})


def read(path):
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_is_written_in_bits_is_read_back_as_one(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(module, "ROW_GROUP", 4)
    out = tmp_path / "new" / f"p{suffix}"
    with sinks(out) as (predictions, _):
        for start in range(0, 7, 2):
            predictions.write(ROWS[start : start + 2])
            assert not out.exists()
    pd.testing.assert_frame_equal(read(out), ROWS)
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    if suffix == ".parquet":
        assert pyarrow.parquet.ParquetFile(out).num_row_groups == 2


@pytest.mark.parametrize(("suffix", "first"), [(".csv", "'=1.png"), (".parquet", "=1.png")])
def test_a_name_is_no_formula_to_a_spreadsheet(tmp_path, suffix, first):
    out = tmp_path / f"p{suffix}"
    with sinks(out) as (predictions, _):
        predictions.write(
            pd.DataFrame({"path": ["=1.png", "b.png"], "prediction": ["-1", "+1"], "distance": [-0.5, 1.0]})
        )
    found = pd.read_csv(out, dtype={"prediction": str}) if suffix == ".csv" else pd.read_parquet(out)
    assert found["path"].tolist() == [first, "b.png"]
    assert found["prediction"].tolist() == ["-1", "+1"]
    assert found["distance"].tolist() == [-0.5, 1.0]


def test_an_error_leaves_no_file_and_what_was_there_as_it_was(tmp_path):
    out = tmp_path / "p.parquet"
    out.write_text("mine")

    def fail():
        with sinks(out) as (predictions, rejected):
            predictions.write(ROWS)
            rejected.write(ROWS)
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert out.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["p.parquet"]


def test_the_list_of_rejected_files_of_an_earlier_prediction_goes(tmp_path):
    out = tmp_path / "p.csv"
    with sinks(out) as (predictions, rejected):
        predictions.write(ROWS)
        rejected.write(ROWS)
    assert rejected_path(out).is_file()
    with sinks(out) as (predictions, _):
        predictions.write(ROWS)
    assert not rejected_path(out).exists()


def test_without_a_file_it_is_printed_with_one_header(capsys):
    with sinks(None) as (predictions, rejected):
        predictions.write(ROWS[:2])
        predictions.write(ROWS[2:])
    assert rejected is None
    assert capsys.readouterr().out == ROWS.to_csv(index=False)


@pytest.mark.parametrize("there", ["p.csv", "p.rejected.csv"])
def test_a_file_that_is_there_is_only_overwritten_when_asked(tmp_path, there):
    (tmp_path / there).write_text("mine")
    with pytest.raises(UserError, match=rf"{there} is there already; --force"):
        check_output(tmp_path / "p.csv", given=tmp_path, force=False)
    check_output(tmp_path / "p.csv", given=tmp_path, force=True)


def test_the_input_is_never_overwritten(tmp_path):
    (tmp_path / "p.csv").write_text("path\n")
    with pytest.raises(UserError, match="is what is to be predicted"):
        check_output(tmp_path / "p.csv", given=tmp_path / "p.csv", force=True)


def test_other_suffixes_and_folders_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"p\.txt: predictions are written as \.csv or \.parquet"):
        check_output(tmp_path / "p.txt", given=tmp_path, force=False)
    (tmp_path / "p.csv").mkdir()
    with pytest.raises(UserError, match=r"p\.csv is a folder"):
        check_output(tmp_path / "p.csv", given=tmp_path, force=True)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file/p\.csv cannot be written"), sinks(tmp_path / "file" / "p.csv"):
        pass
