"""Which reader takes a folder; split folders; images without a label."""

from pathlib import Path

import pytest

from headstart.datasets.read import list_dataset, list_labelled
from headstart.datasets.settings import DataSettings
from headstart.errors import DataError

SETTINGS = DataSettings()


@pytest.fixture
def touch(tmp_path):
    """Files of no content below a folder: listing opens none."""

    def run(*names: str) -> Path:
        for name in names:
            (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / name).touch()
        return tmp_path / "set"

    return run


def test_class_folders(touch):
    found = list_dataset(touch("a/1.png", "b/1.png"), SETTINGS)
    assert (found.labels, found.splits) == (("a", "b"), (None, None))


def test_a_built_ins_table_is_read_whatever_the_users_own_columns_are_called(tmp_path):
    (tmp_path / "digits_angle").mkdir()
    for name in ("1.png", "2.png"):
        (tmp_path / "digits_angle" / name).touch()
    (tmp_path / "digits_angle" / "labels.csv").write_text("path,value\n1.png,10.5\n2.png,-3\n")
    own = DataSettings(table="mine.csv", path_column="file", value_columns=("degrees",), group_column="")
    assert list_dataset(tmp_path / "digits_angle", own).values == ((10.5,), (-3.0,))


def test_split_folders(touch):
    found = list_dataset(
        touch("train/a/1.png", "train/b/x/1.png", "valid/a/2.png", "test/b/3.png", "notes.txt"), SETTINGS
    )
    assert found.paths == ("test/b/3.png", "train/a/1.png", "train/b/x/1.png", "valid/a/2.png")
    assert found.labels == ("b", "a", "b", "a")
    assert found.splits == ("test", "train", "train", "val")


def test_a_train_among_other_vehicles_is_a_class(touch):
    found = list_dataset(touch("train/1.png", "bus/1.png"), SETTINGS)
    assert (found.labels, found.splits) == (("bus", "train"), (None, None))


def test_a_table_comes_before_folders(touch):
    folder = touch("a/1.png", "b/1.png", "c/1.png")
    (folder / "labels.csv").write_text("path,label\na/1.png,x\nb/1.png,y\n")
    assert list_dataset(folder, SETTINGS).labels == ("x", "y")


@pytest.mark.parametrize("kind", ["classes", "splits", "table"])
def test_unlabelled_images_lie_beside_every_kind(touch, kind):
    folder = touch("unlabelled/deep/1.png", "unlabeled/2.png")
    if kind == "table":
        touch("i/1.png", "i/2.png")
        (folder / "labels.csv").write_text("path,label\ni/1.png,a\ni/2.png,b\n")
    else:
        prefix = "train/" if kind == "splits" else ""
        touch(f"{prefix}a/1.png", f"{prefix}b/1.png")
    found = list_labelled(folder, SETTINGS)
    assert found.labels[:2] == ("a", "b")
    assert found.labels[2:] == (None, None)
    assert found.paths[2:] == ("unlabelled/deep/1.png", "unlabeled/2.png")
    assert found.splits[2:] == ("unlabelled", "unlabelled")


def test_loose_images_are_unlabelled_and_nothing_to_learn_from(touch):
    folder = touch("1.png", "2.jpg", "unlabelled/3.png")
    found = list_dataset(folder, SETTINGS)
    assert found.paths == ("1.png", "2.jpg", "unlabelled/3.png")
    assert set(found.splits) == {"unlabelled"}
    with pytest.raises(DataError, match=r"images in 0 class folder\(s\), none; at least two are needed"):
        list_labelled(folder, SETTINGS)


def test_a_table_without_any_label_is_nothing_to_learn_from(touch):
    folder = touch("1.png")
    (folder / "labels.csv").write_text("path,label\n1.png,\n")
    with pytest.raises(DataError, match="no row has a label; fill its column, or see data.label_column"):
        list_labelled(folder, SETTINGS)


def test_a_table_of_one_class_is_nothing_to_learn_from(touch):
    folder = touch("1.png", "2.png")
    (folder / "labels.csv").write_text("path,label\n1.png,a\n2.png,a\n")
    with pytest.raises(DataError, match="set has one class, 'a'; at least two are needed"):
        list_labelled(folder, SETTINGS)


@pytest.mark.parametrize(
    ("names", "stated"),
    [
        (
            ("train/a/1.png", "train/b/1.png", "test/1.png"),
            r"set/test holds 1 images outside of class folders, such as 1",
        ),
        (("train/a/1.png", "test/a/1.png"), r"set/train holds images in 1 class folder\(s\); at least two are needed"),
        (
            ("train/a/1.png", "train/b/1.png", "val/a/1.png", "valid/a/1.png"),
            "holds val/ and valid/, which are one split",
        ),
    ],
)
def test_split_folders_that_make_no_sense_are_refused(touch, names, stated):
    with pytest.raises(DataError, match=stated):
        list_dataset(touch(*names), SETTINGS)
