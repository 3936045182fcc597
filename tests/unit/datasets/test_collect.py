"""What a dataset is made of when it is registered: which file goes where, and which table is written anew."""

from io import StringIO
from pathlib import Path

import pandas as pd
import pytest

from headstart.datasets.collect import collect
from headstart.datasets.settings import DataSettings
from headstart.errors import DataError, UserError

SETTINGS = DataSettings()


@pytest.fixture
def put(tmp_path):
    """Writes files below the test's folder; text for a table, nothing for an image."""

    def run(*names: str, **tables: str) -> Path:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        for name, text in tables.items():
            place = tmp_path / name.replace("__", "/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.with_suffix(".csv").write_text(text)
        return tmp_path

    return run


def rows(text: str) -> list[list[str]]:
    return pd.read_csv(StringIO(text), dtype=str, keep_default_na=False).to_numpy().tolist()


def test_a_folder_is_its_visible_files(put):
    root = put("pets/cat/1.png", "pets/dog/1.png", "pets/LICENSE", "pets/.git/x", "pets/cat/.DS_Store")
    found = collect(root / "pets", SETTINGS)
    assert (found.name, found.rows, found.texts) == ("pets", 2, {})
    assert found.files == {place: root / "pets" / place for place in ("LICENSE", "cat/1.png", "dog/1.png")}


def test_a_table_is_itself_and_the_files_that_it_names(put):
    root = put("t/i/1.png", "t/i/2.png", "t/i/other.png", t__pets="path,label\ni/1.png,a\n./i/2.png,b\ni/no.png,a\n")
    found = collect(root / "t" / "pets.csv", SETTINGS)
    assert (found.name, found.rows, found.texts) == ("pets", 2, {})
    assert found.files == {
        "i/1.png": root / "t" / "i" / "1.png",
        "i/2.png": root / "t" / "i" / "2.png",
        "pets.csv": root / "t" / "pets.csv",
    }


def test_images_outside_of_the_tables_folder_go_to_files(put):
    root = put("x/1.png", "y/1.png", "t/1.png")
    put(t__pets=f"path,label,who\n../x/1.png,a,p\n{root}/y/1.png,b,q\n1.png,b,\n")
    for path in (root / "t" / "pets.csv", root / "t"):
        found = collect(path, SETTINGS)
        assert found.rows == 3
        assert rows(found.texts["pets.csv"]) == [
            ["files/1.png", "a", "p"],
            ["files/1-1.png", "b", "q"],
            ["1.png", "b", ""],
        ]
        assert {place: file.resolve() for place, file in found.files.items()} == {
            "files/1.png": root / "x" / "1.png",
            "files/1-1.png": root / "y" / "1.png",
            "1.png": root / "t" / "1.png",
        }


def test_an_own_test_set_of_class_folders(put):
    root = put("pets/cat/1.png", "pets/dog/1.png", "pets/unlabelled/1.png", "pets/README", "new/cat/1.png", "new/x.png")
    found = collect(root / "pets", SETTINGS, test_data=root / "new")
    assert sorted(found.files) == [
        "README",
        "test/cat/1.png",
        "train/cat/1.png",
        "train/dog/1.png",
        "unlabelled/1.png",
    ]
    assert found.files["test/cat/1.png"] == root / "new" / "cat" / "1.png"
    assert found.rows == 4


def test_an_own_test_set_beside_split_folders(put):
    root = put("pets/train/cat/1.png", "pets/train/dog/1.png", "pets/val/cat/1.png", "new/cat/1.png")
    found = collect(root / "pets", SETTINGS, test_data=root / "new")
    assert sorted(found.files) == ["test/cat/1.png", "train/cat/1.png", "train/dog/1.png", "val/cat/1.png"]


def test_an_own_test_set_in_a_second_table(put):
    """A path that names nothing must not come to name a file of the first table."""
    root = put("t/1.png", "t/2.png", "u/1.png")
    put(t__pets="path,label\n1.png,a\n2.png,b\n", u__new="path,label\n1.png,b\n2.png,a\n")
    found = collect(root / "t" / "pets.csv", SETTINGS, test_data=root / "u" / "new.csv")
    assert rows(found.texts["pets.csv"]) == [
        ["1.png", "a", ""],
        ["2.png", "b", ""],
        ["test/1.png", "b", "test"],
        ["test/2.png", "a", "test"],
    ]
    assert found.files == {"1.png": root / "t/1.png", "2.png": root / "t/2.png", "test/1.png": root / "u/1.png"}


def test_unlabelled_images_on_top(put):
    root = put("pets/cat/1.png", "pets/dog/1.png", "more/a/1.png", "more/2.png", "more/notes.txt")
    found = collect(root / "pets", SETTINGS, unlabelled=root / "more")
    assert sorted(found.files) == ["cat/1.png", "dog/1.png", "unlabelled/2.png", "unlabelled/a/1.png"]


@pytest.mark.parametrize(
    ("base", "test", "stated"),
    [
        ("splits", "folder", "has test rows of its own already; leave out --target.test_data"),
        ("folder", "table", "cannot be joined: one is a table and the other is not"),
        ("folder", "flat", "flat is not a folder of class folders; a test set is flat/<class>/<image>"),
        ("folder", "splits", "splits is not a folder of class folders"),
        ("table", "values", "cannot be joined: one has labels, the other values"),
        ("own", "table", "has test rows of its own already"),
        ("folder", "nowhere", "nowhere is not a folder, a table"),
        ("folder", "flat/1.png", "1.png is not a folder, a table"),
    ],
)
def test_parts_that_do_not_fit_are_refused(put, base, test, stated):
    root = put("folder/a/1.png", "folder/b/1.png", "flat/1.png", "i/1.png", "i/2.png")
    put(*(f"splits/{split}/{name}/1.png" for split in ("train", "test") for name in "ab"))
    put(
        table__t="path,label\n../i/1.png,a\n../i/2.png,b\n",
        values__t="path,value\n../i/1.png,1\n",
        own__t="path,label,split\n../i/1.png,a,train\n../i/2.png,b,test\n",
    )
    with pytest.raises(UserError, match=stated):
        collect(root / base, SETTINGS, test_data=root / test)


@pytest.mark.parametrize("name", ["empty", "nowhere"])
def test_an_unlabelled_folder_without_images_is_refused(put, name):
    root = put("pets/cat/1.png", "pets/dog/1.png", "empty/x.txt")
    with pytest.raises(DataError, match=f"{name} is not a folder with images; --target.unlabelled takes a folder"):
        collect(root / "pets", SETTINGS, unlabelled=root / name)
