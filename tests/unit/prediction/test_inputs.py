"""What is predicted: which files a folder, a table and a single image stand for, and what is refused."""

import os
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from headstart.errors import DataError
from headstart.modalities.image.modality import HowImage
from headstart.modalities.table import IMAGE, TEXT
from headstart.prediction import inputs as module
from headstart.prediction.inputs import Files, decode_files, find_inputs


def draw(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (10, 14), 200).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "new"
    for name in ("b.png", "a.JPG", "deep/er/c.webp", ".hidden.png", ".cache/d.png", "__MACOSX/e.png"):
        draw(root / name)
    (root / "notes.txt").write_text("no image")
    return root


def test_a_folder_is_every_visible_image_at_any_depth_in_a_fixed_order(folder):
    found = find_inputs(folder, IMAGE)
    assert (found.root, found.count) == (folder, 3)
    assert list(found.names()) == ["a.JPG", "b.png", "deep/er/c.webp"]
    assert list(found.names()) == ["a.JPG", "b.png", "deep/er/c.webp"]  # from the start each time


def test_a_single_image_keeps_its_name_as_given(folder, monkeypatch):
    monkeypatch.chdir(folder)
    found = find_inputs(Path("b.png"), IMAGE)
    assert (found.count, list(found.names())) == (1, ["b.png"])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_gives_its_paths_row_by_row_and_an_empty_one_as_no_name(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(module, "ROWS_READ", 2)
    names = ["b.png", "NA", None, "sub/a b.png", "b.png"]
    table = pd.DataFrame({"note": range(5), "path": names})
    path = tmp_path / f"rows{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    found = find_inputs(path, IMAGE)
    assert (found.root, found.count) == (tmp_path, 5)
    assert list(found.names()) == ["b.png", "NA", "", "sub/a b.png", "b.png"]


def test_a_tables_byte_order_mark_is_passed_over(tmp_path):
    (tmp_path / "rows.csv").write_bytes(b"\xef\xbb\xbfpath,x\nb.png,1\n")
    assert list(find_inputs(tmp_path / "rows.csv", IMAGE).names()) == ["b.png"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("rows.csv", b"file,label\na.png,1\n", ["rows.csv has no column 'path', only 'file', 'label'"]),
        ("rows.csv", b"path\n", ["rows.csv has no rows"]),
        ("rows.csv", b"", ["rows.csv cannot be read as CSV"]),
        ("rows.csv", b"path\n\xff\xfe\n", ["rows.csv cannot be read as CSV"]),
        ("rows.parquet", b"PAR1 but not really", ["rows.parquet cannot be read as Parquet"]),
        ("rows.xlsx", b"x", ["rows.xlsx is of a kind that cannot be predicted", ".csv, .parquet"]),
        ("empty/readme.txt", b"x", ["empty holds no images", ".png"]),
        ("../gone", b"", ["gone is not there", "a column 'path'"]),
    ],
)
def test_what_cannot_be_predicted_is_refused_by_name(tmp_path, name, content, words):
    path = tmp_path / name
    if not name.startswith(".."):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        find_inputs(path.parent if name.startswith("empty") else path, IMAGE)
    for word in words:
        assert word in str(caught.value)


def test_a_parquet_table_without_the_column_names_those_it_has(tmp_path):
    pd.DataFrame({"file": ["a.png"]}).to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match=r"rows\.parquet has no column 'path', only 'file'"):
        find_inputs(tmp_path / "rows.parquet", IMAGE)


def test_what_cannot_be_decoded_has_a_reason(folder):
    (folder / "broken.png").write_bytes(b"no image")
    good, absolute, broken, gone, nameless = decode_files(
        Files(str(folder), ("b.png", str(folder / "b.png"), "broken.png", "gone.png", ""), "image", HowImage(8, 3))
    )
    assert good.values.shape == (3, 8, 8)
    assert absolute.sha256 == good.sha256
    assert (broken.values, gone.values, nameless.values) == (None, None, None)
    assert broken.reason.startswith("NOT_AN_IMAGE: ")
    assert gone.reason == "NOT_THERE: no such file"
    assert nameless.reason == "NO_PATH: the row names no file"


def test_a_name_that_is_not_utf_8_can_be_written_and_is_set_aside(tmp_path):
    (tmp_path / "good.png").touch()
    os.rename(tmp_path / "good.png", os.path.join(os.fsencode(tmp_path), b"caf\xe9.png"))
    names = list(find_inputs(tmp_path, IMAGE).names())
    assert names == ["caf\\udce9.png"]
    assert decode_files(Files(str(tmp_path), tuple(names), "image", HowImage(8, 1)))[0].reason.startswith("NOT_THERE")


def test_a_blank_line_of_a_table_is_no_row_and_counts_in_the_numbers_of_those_below(tmp_path):
    (tmp_path / "rows.csv").write_text("text\ngood\n   \nbad\n\n")
    found = find_inputs(tmp_path / "rows.csv", TEXT)
    assert found.contents is not None
    assert (found.count, list(found.contents())) == (2, ["good", "bad"])
    assert list(found.names()) == ["rows.csv row 2", "rows.csv row 4"]


def test_a_row_that_lacks_its_text_alone_is_a_row(tmp_path):
    (tmp_path / "rows.csv").write_text("id,text\n1,good\n2,\n,\n")
    found = find_inputs(tmp_path / "rows.csv", TEXT)
    assert found.contents is not None
    assert (found.count, list(found.contents())) == (2, ["good", ""])
