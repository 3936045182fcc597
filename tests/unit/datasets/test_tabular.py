"""The reader of tables: what a row becomes, which rows are set aside and why, and what is refused."""

from pathlib import Path

import pandas as pd
import pytest

from headstart.datasets.settings import DataSettings
from headstart.datasets.tabular import find_table, list_table
from headstart.errors import DataError

SETTINGS = DataSettings()


@pytest.fixture
def write(tmp_path):
    """Writes a table beside ten images, img/0.png to img/9.png; listing opens none of them."""
    (tmp_path / "img").mkdir()
    for number in range(10):
        (tmp_path / "img" / f"{number}.png").touch()

    def run(text: str | bytes, name: str = "labels.csv") -> Path:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / name

    return run


def changed(**settings) -> DataSettings:
    return SETTINGS.model_copy(update=settings)


def test_classes_splits_and_groups(write):
    found = list_table(
        write("path,label,split,group\nimg/0.png,a,train,p\nimg/1.png,b,Validation,\nimg/2.png,a,test,q\n"), SETTINGS
    )
    assert found.paths == ("img/0.png", "img/1.png", "img/2.png")
    assert found.labels == ("a", "b", "a")
    assert found.splits == ("train", "val", "test")
    assert found.groups == ("p", None, "q")
    assert (found.kind, found.values, found.rejected) == ("class", (None, None, None), ())


def test_values(write):
    found = list_table(write("path,value\nimg/0.png,1.5\nimg/1.png,-2\nimg/2.png,\n"), SETTINGS)
    assert found.kind == "value"
    assert found.values == ((1.5,), (-2.0,), None)
    assert found.splits == (None, None, "unlabelled")


def test_column_names_can_be_set(write):
    table = write("file,breed,fold,owner\nimg/0.png,a,test,x\nimg/1.png,b,train,y\n")
    names = {"path_column": "file", "label_column": "breed", "split_column": "fold", "group_column": "owner"}
    found = list_table(table, changed(**names))
    assert (found.labels, found.splits, found.groups) == (("a", "b"), ("test", "train"), ("x", "y"))


def test_a_row_without_a_label_is_unlabelled(write):
    found = list_table(write("path,label\nimg/0.png,a\nimg/1.png,b\nimg/2.png,\n"), SETTINGS)
    assert found.labels == ("a", "b", None)
    assert found.splits == (None, None, "unlabelled")


def test_classes_that_look_like_nothing_are_classes(write):
    """pandas takes NA, None and null for missing by default, and 01 for 1."""
    found = list_table(write("path,label\nimg/0.png,NA\nimg/1.png,None\nimg/2.png,01\n"), SETTINGS)
    assert found.labels == ("NA", "None", "01")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separator_is_found(write, separator):
    lines = ["path,label", "img/0.png,a", "img/1.png,b"]
    found = list_table(write("\n".join(lines).replace(",", separator)), SETTINGS)
    assert found.labels == ("a", "b")


def test_what_spreadsheets_write(write):
    """A byte-order mark, CRLF, spaces, backslashes, empty lines."""
    found = list_table(write(b"\xef\xbb\xbfpath , label\r\nimg\\0.png, a\r\n\r\n./img/1.png,b\r\n\r\n"), SETTINGS)
    assert (found.paths, found.labels, found.rejected) == (("img/0.png", "img/1.png"), ("a", "b"), ())


def test_bad_rows_are_set_aside_with_their_number_as_an_editor_shows_it(write):
    rows = ["path,label,split", "img/0.png,a,", "img/1.png,b,", "", "img/99.png,a,", ",b,", "../x.png,a,"]
    rows += ["img/0.png,b,", "img/2.png,b,perhaps", "img/3.png,,test"]
    found = list_table(write("\n".join(rows)), SETTINGS)
    assert found.paths == ("img/0.png", "img/1.png")
    assert found.rejected == (
        ("labels.csv row 5", "MISSING: file img/99.png is missing"),
        ("labels.csv row 6", "NO_PATH: the row names no file"),
        (
            "labels.csv row 7",
            "OUTSIDE: ../x.png lies outside of the dataset's folder; register the table: --target.data TABLE",
        ),
        ("labels.csv row 8", "REPEATED: file img/0.png has a row already"),
        ("labels.csv row 9", "BAD_SPLIT: 'perhaps' is none of train, val, test"),
        ("labels.csv row 10", "NO_LABEL: a test row needs its label"),
    )


@pytest.mark.parametrize("value", ["x", "nan", "inf", "3,5", "1e999"])
def test_a_value_that_is_no_finite_number_is_set_aside(write, value):
    found = list_table(write(f'path,value\nimg/0.png,1\nimg/1.png,"{value}"\n'), SETTINGS)
    hint = "; for a decimal comma write a point" if "," in value else ""
    assert found.rejected == (("labels.csv row 3", f"BAD_VALUE: {value!r} is not a finite number{hint}"),)


def test_parquet_is_read_alike(write, tmp_path):
    frame = pd.DataFrame(
        {
            "path": ["img/0.png", "img/1.png", "img/2.png", "no.png"],
            "label": [1.0, 2.0, None, 1.0],
            "group": [7, 7, 8, 8],
        }
    )
    frame.to_parquet(tmp_path / "labels.parquet")
    found = list_table(tmp_path / "labels.parquet", SETTINGS)
    assert found.labels == ("1", "2", None)
    assert found.groups == ("7", "7", "8")
    assert found.rejected == (("labels.parquet row 4", "MISSING: file no.png is missing"),)


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        (
            "file,label\nimg/0.png,a\n",
            r"has no column 'path' \(its columns: file, label\); the setting data.path_column",
        ),
        ("path,class\nimg/0.png,a\n", "neither a column 'label' of classes nor 'value' of numbers"),
        (
            "path,label,value\nimg/0.png,a,1\n",
            r"labels \(column 'label'\) and values \(column 'value'\); choose: --data",
        ),
        (
            "path,label\nno.png,a\n",
            "no row that can be used, such as labels.csv row 2: MISSING: file no.png is missing",
        ),
        ("path,label\n", "has no row that can be used"),
        ("", "cannot be read as a table"),
        ("path,label\nimg/0.png,a\nimg/1.png,a,b,c\n", "cannot be read as a table: row 3 has 4 cells under 2 columns"),
        (b"path,label\nimg/0.png,\xe4\n", "is not UTF-8 text"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(write, text, stated):
    with pytest.raises(DataError, match=stated):
        list_table(write(text), SETTINGS)


def test_a_parquet_file_that_is_none_is_refused(write):
    with pytest.raises(DataError, match="labels.parquet cannot be read as a table"):
        list_table(write("path,label\n", "labels.parquet"), SETTINGS)


def test_of_labels_and_values_a_setting_chooses(write):
    table = write("path,label,value\nimg/0.png,a,1\nimg/1.png,b,2\n")
    assert list_table(table, changed(value_columns=())).kind == "class"
    assert list_table(table, changed(label_column="")).kind == "value"


def test_the_one_table_of_a_folder_is_found_and_of_several_the_named(write, tmp_path):
    assert find_table(tmp_path, SETTINGS) is None
    first = write("path,label\n", "a.csv")
    assert find_table(tmp_path, SETTINGS) == first
    assert find_table(tmp_path, changed(table="elsewhere.csv")) == first  # of the other dataset, perhaps
    second = write("path,label\n", "b.CSV")
    with pytest.raises(DataError, match=r"holds 2 tables: a.csv, b.CSV; name the one to read: --data.table a.csv"):
        find_table(tmp_path, SETTINGS)
    assert find_table(tmp_path, changed(table="b.CSV")) == second


class TestTexts:
    """A table may hold the rows themselves."""

    TEXTS = DataSettings(modality="text")

    def test_rows_are_named_by_their_numbers_and_come_from_the_table(self, write, tmp_path):
        found = list_table(write('text,label,group\nso good,a,p\n"so, so",b,\n  so bad  ,b,q\n'), self.TEXTS)
        assert found.paths == ("labels.csv row 2", "labels.csv row 3", "labels.csv row 4")
        assert found.contents == ("so good", "so, so", "so bad")
        assert [found.source(tmp_path, row) for row in range(3)] == list(found.contents)
        assert (found.labels, found.groups) == (("a", "b", "b"), ("p", None, "q"))

    def test_the_column_may_have_another_name(self, write):
        settings = self.TEXTS.model_copy(update={"content_column": "review"})
        assert list_table(write("review,label\nfine,a\npoor,b\n"), settings).contents == ("fine", "poor")

    def test_a_row_without_a_text_may_name_a_file(self, write, tmp_path):
        (tmp_path / "b.txt").write_text("poor")
        found = list_table(write("path,text,label\n,fine,a\nb.txt,,b\n,,b\n"), self.TEXTS)
        assert [found.source(tmp_path, row) for row in range(2)] == ["fine", tmp_path / "b.txt"]
        assert found.rejected == (
            ("labels.csv row 4", "EMPTY: column text has nothing in it, and the row names no file"),
        )

    def test_the_same_text_twice_is_no_repeated_file(self, write):
        assert len(list_table(write("text,label\nfine,a\nfine,a\n"), self.TEXTS)) == 2

    def test_a_table_of_neither_is_refused_with_both_names(self, write):
        with pytest.raises(DataError, match="no column 'path' or 'text' .*data.path_column or data.content_column"):
            list_table(write("review,label\nfine,a\n"), self.TEXTS)

    def test_images_are_not_looked_for_in_a_column_of_texts(self, write):
        with pytest.raises(DataError, match="has no column 'path' "):
            list_table(write("text,label\nfine,a\n"), SETTINGS)
