"""The built-in digits: shapes, classes, and where they lie in their frame; test_glyphs.py has the glyphs."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from headstart.datasets.builtin import materialise
from headstart.datasets.table import DATASETS
from headstart.errors import SettingsError


@pytest.fixture(scope="module")
def loaded():
    return {name: DATASETS.get(name).load()() for name in (*CLASSES, *ANGLES)}


def centres(images: np.ndarray) -> np.ndarray:
    """(images, 2): each image's centre of mass."""
    weights = images.astype(float)
    places = np.stack(np.mgrid[:28, :28])
    return np.stack([(weights * axis).sum((1, 2)) / weights.sum((1, 2)) for axis in places], axis=1)


CLASSES = ["mnist5k", "digits"]
ANGLES = [entry.name for entry in DATASETS if [own.unit for own in entry.values] == ["degrees"]]


@pytest.mark.parametrize("name", CLASSES)
def test_it_has_the_rows_that_the_table_states(loaded, name):
    images, labels = loaded[name]
    assert images.shape == (DATASETS.get(name).rows, 28, 28)
    assert images.dtype == np.uint8
    assert sorted(set(labels)) == [str(digit) for digit in range(10)]
    assert len(labels) == len(images)
    assert images.max() == 255
    assert images.min() == 0


def test_mnist5k_has_500_of_each_and_digits_about_180(loaded):
    assert set(Counter(loaded["mnist5k"][1]).values()) == {500}
    counts = Counter(loaded["digits"][1])
    assert (min(counts.values()), max(counts.values())) == (174, 183)


@pytest.mark.parametrize("name", CLASSES)
def test_the_digits_lie_in_the_middle_by_their_mass(loaded, name):
    """MNIST's own way (LeCun 1998); the middle of 28 pixels is 13.5."""
    found = centres(loaded[name][0])
    assert np.abs(found.mean(0) - 13.5).max() < 0.6
    assert np.abs(found - 13.5).max() < 1.5


def test_digits_are_the_scans_of_8_by_8_made_larger(loaded):
    from sklearn.datasets import load_digits

    images, labels = loaded["digits"]
    bunch = load_digits()
    assert labels == [str(label) for label in bunch.target]
    shapes = [np.argwhere(image > 0) for image in images]
    assert all((np.ptp(shape, axis=0) < 20).all() for shape in shapes)  # within a box of 20 by 20
    small = np.asarray(Image.fromarray(images[3]).crop((4, 4, 24, 24)).resize((8, 8), Image.Resampling.BOX))
    assert np.corrcoef(small.ravel(), bunch.images[3].ravel())[0, 1] > 0.9


def test_a_fetched_dataset_is_a_folder_of_class_folders(tmp_path, monkeypatch):
    images = np.arange(4 * 28 * 28, dtype=np.uint32).reshape(4, 28, 28).astype(np.uint8)
    monkeypatch.setattr("headstart.datasets.builtin.digits", lambda: (images, ["b", "a", "b", "b"]))
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "old.txt").touch()
    assert materialise("digits", tmp_path / "digits") == 4
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
    assert found == ["digits/a/00001.png", "digits/b/00000.png", "digits/b/00002.png", "digits/b/00003.png"]
    assert (np.asarray(Image.open(tmp_path / "digits" / "b" / "00002.png")) == images[2]).all()


@pytest.mark.parametrize("name", ANGLES)
def test_a_digit_is_turned_by_its_angle_and_turning_it_back_finds_it_again(loaded, name):
    images, table = loaded[name]
    angles = table["value"]
    plain = loaded[name.removesuffix("_angle")][0]
    assert images.shape == (DATASETS.get(name).rows, 28, 28)
    assert len(angles) == len(images)
    assert (min(angles), max(angles)) == pytest.approx((-60, 60), abs=0.2)
    assert np.mean(angles) == pytest.approx(0, abs=1.5)
    assert np.std(angles) == pytest.approx(120 / np.sqrt(12), abs=0.7)
    for row in range(0, 200, 20):
        if abs(angles[row]) > 20:
            back = np.asarray(Image.fromarray(images[row]).rotate(-angles[row], Image.Resampling.BICUBIC), float)
            wrong = np.asarray(Image.fromarray(images[row]).rotate(angles[row], Image.Resampling.BICUBIC), float)
            whole = plain[row].astype(float)
            assert np.corrcoef(back.ravel(), whole.ravel())[0, 1] > 0.9
            assert np.corrcoef(wrong.ravel(), whole.ravel())[0, 1] < 0.9


@pytest.mark.parametrize("name", ["mnist5k_pose", "digits_pose"])
def test_a_digit_is_turned_and_then_moved(loaded, name):
    """To the right and down; moving it back and turning it back finds it again."""
    images, poses = DATASETS.get(name).load()()
    plain, _ = loaded[name.removesuffix("_pose")]
    assert images.shape == (DATASETS.get(name).rows, 28, 28)
    assert list(poses) == [own.name for own in DATASETS.get(name).values] == ["x", "y", "angle"]
    assert poses.abs().max().tolist() == pytest.approx([4, 4, 60], abs=0.2)
    assert np.abs(poses.corr().to_numpy() - np.eye(3)).max() < 0.08
    shift = centres(images) - centres(plain)
    assert np.corrcoef(shift[:, 1], poses["x"])[0, 1] > 0.95
    assert np.corrcoef(shift[:, 0], poses["y"])[0, 1] > 0.95
    for row in range(0, 200, 20):
        pose = poses.iloc[row]
        moved = Image.fromarray(images[row]).rotate(0, Image.Resampling.BICUBIC, translate=(-pose.x, -pose.y))
        back = np.asarray(moved.rotate(-pose.angle, Image.Resampling.BICUBIC), float)
        assert np.corrcoef(back.ravel(), plain[row].astype(float).ravel())[0, 1] > 0.85


def test_an_angle_follows_from_the_digit_alone():
    from headstart.datasets.builtin import _drawn

    image = np.arange(784, dtype=np.uint32).reshape(28, 28).astype(np.uint8)
    assert _drawn(image, 0, 60.0) == _drawn(image.copy(), 0, 60.0)
    assert _drawn(image, 0, 60.0) != _drawn(image.T, 0, 60.0)
    assert len({_drawn(image, draw, 60.0) for draw in range(4)}) == 4


def test_values_are_fetched_as_images_and_a_table(tmp_path, monkeypatch):
    images = np.arange(2 * 28 * 28, dtype=np.uint32).reshape(2, 28, 28).astype(np.uint8)
    monkeypatch.setattr(
        "headstart.datasets.builtin.digits_angle", lambda: (images, pd.DataFrame({"value": [-3.5, 60.0]}))
    )
    assert materialise("digits_angle", tmp_path / "digits_angle") == 2
    table = (tmp_path / "digits_angle" / "labels.csv").read_text()
    assert table == "path,value\nimages/00000.png,-3.5\nimages/00001.png,60.0\n"
    assert (np.asarray(Image.open(tmp_path / "digits_angle" / "images" / "00001.png")) == images[1]).all()


def test_an_unknown_dataset_is_refused_with_the_nearest_names(tmp_path):
    with pytest.raises(
        SettingsError,
        match=r"unknown built-in dataset 'mnist'; did you mean mnist5k or mnist5k_pose or mnist5k_angle\?",
    ):
        materialise("mnist", tmp_path / "mnist")
    assert not (tmp_path / "mnist").exists()


def test_reading_the_table_imports_no_library():
    import subprocess
    import sys

    command = "import sys, headstart.datasets.table; print({'sklearn', 'mlxtend', 'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
