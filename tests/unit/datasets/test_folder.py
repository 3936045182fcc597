"""The reader of a folder of class folders: what it lists, what it passes over, what it refuses."""

import os
from pathlib import Path

import pytest

from headstart.datasets.folder import list_folder, list_rows
from headstart.errors import DataError
from headstart.modalities.table import AUDIO, IMAGE


def touch(root: Path, *names: str) -> Path:
    """Files of no content: listing opens none."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_images_at_any_depth_belong_to_their_class_folder(tmp_path):
    touch(tmp_path, "b/2.PNG", "a/deep/er/x.jpg", "a/1.jpeg", "b/1.png")
    found = list_folder(tmp_path, IMAGE)
    assert found.paths == ("a/1.jpeg", "a/deep/er/x.jpg", "b/1.png", "b/2.PNG")
    assert found.labels == ("a", "a", "b", "b")


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    touch(tmp_path, "a/1.png", "b/1.png", "a/.2.png", "a/._3.png", "a/.thumbs/4.png", ".git/5.png", "__MACOSX/a/6.png")
    assert list_folder(tmp_path, IMAGE).paths == ("a/1.png", "b/1.png")


def test_other_files_are_passed_over(tmp_path):
    touch(tmp_path, "a/1.png", "b/1.png", "a/notes.txt", "b/1.png.json", "b/Thumbs.db", "readme.md", "loose.png")
    assert list_folder(tmp_path, IMAGE).paths == ("a/1.png", "b/1.png")


def test_links_are_passed_over(tmp_path):
    """They may leave the folder that DVC versions, or lead into a circle."""
    touch(tmp_path / "set", "a/1.png", "b/1.png")
    touch(tmp_path / "elsewhere", "2.png")
    (tmp_path / "set" / "a" / "2.png").symlink_to(tmp_path / "elsewhere" / "2.png")
    (tmp_path / "set" / "a" / "dead.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "set" / "c").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "b" / "loop").symlink_to(tmp_path / "set")
    assert list_folder(tmp_path / "set", IMAGE).paths == ("a/1.png", "b/1.png")


def test_a_folder_that_is_called_like_an_image_is_none(tmp_path):
    touch(tmp_path, "a/1.png", "b/1.png", "a/odd.png/2.png")
    assert list_folder(tmp_path, IMAGE).paths == ("a/1.png", "a/odd.png/2.png", "b/1.png")


def test_classes_without_an_image_are_none(tmp_path):
    touch(tmp_path, "a/1.png", "b/1.png", "c/notes.txt")
    (tmp_path / "d").mkdir()
    assert set(list_folder(tmp_path, IMAGE).labels) == {"a", "b"}


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_what_is_no_folder_is_refused(tmp_path, kind):
    path = tmp_path / "set"
    if kind == "file":
        path.touch()
    with pytest.raises(DataError, match=r"set is not a folder; a dataset is a folder that holds one folder of images"):
        list_folder(path, IMAGE)


@pytest.mark.parametrize(
    ("names", "stated"),
    [
        ((), r"images in 0 class folder\(s\), none; at least two are needed"),
        (("1.png", "2.png"), r"images in 0 class folder\(s\), none; at least two are needed"),
        (("a/1.png", "b/notes.txt"), r"images in 1 class folder\(s\), \['a'\]; at least two are needed"),
    ],
)
def test_fewer_than_two_classes_are_refused(tmp_path, names, stated):
    touch(tmp_path / "set", *names)
    (tmp_path / "set").mkdir(exist_ok=True)
    with pytest.raises(DataError, match=stated) as caught:
        list_folder(tmp_path / "set", IMAGE)
    assert "set/<class>/<image>, with images named .bmp, .gif, .jpeg, .jpg, .png" in str(caught.value)


def test_a_folder_that_may_not_be_read_is_refused_by_name(tmp_path, monkeypatch):
    """Its images would be missing without a word."""
    touch(tmp_path, "a/1.png", "b/1.png", "b/shut/2.png")
    scan = os.scandir

    def shut(path):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", shut)
    with pytest.raises(DataError, match=r"cannot read .*b/shut: Permission denied; make the folder readable"):
        list_folder(tmp_path, IMAGE)


def test_sound_of_another_format_is_a_row_that_ingest_sets_aside_and_is_not_passed_over(tmp_path):
    touch(tmp_path, "a/1.wav", "a/2.mp3", "b/1.flac", "b/2.m4a", "b/notes.txt")
    assert list_rows(tmp_path, AUDIO) == ["a/1.wav", "a/2.mp3", "b/1.flac", "b/2.m4a"]
