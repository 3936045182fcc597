"""The pack: what is written is read, test labels lie apart, and a changed file is noticed."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headstart.datasets.pack import Card, Pack, pack_digest, read_test_labels, write_pack
from headstart.errors import IntegrityError

CARD = Card(
    name="set",
    classes=("a", "b"),
    counts={"a": 2, "b": 1},
    splits={"pool": 3, "test": 2},
    rejected={"UNREADABLE": 1},
    duplicates=1,
    removed_overlap=0,
    modality="image",
    channels=3,
    size=(4, 4),
    preparation={"image_size": 4, "channels": 3},
    mean=(0.1, 0.2, 0.3),
    std=(0.4, 0.5, 0.6),
)
EXAMPLES = pd.DataFrame(
    {
        "id": ["i0", "i1", "i2", "i3", "i4"],
        "path": ["a/0.png", "a/1.png", "b/0.png", "b/1.png", "a/2.png"],
        "label": ["a", "a", "b", "b", "a"],
        "group": ["g0", "g1", "g2", "g3", "g3"],
        "split": ["pool", "test", "pool", "test", "pool"],
    }
)
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 4), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path) -> Path:
    rejected = pd.DataFrame([("a/bad.png", "UNREADABLE: OSError: image file is truncated")], columns=["path", "reason"])
    write_pack(tmp_path / "set", card=CARD, examples=EXAMPLES, inputs=IMAGES, rejected=rejected)
    return tmp_path / "set"


def test_what_is_written_is_read(folder):
    pack = Pack(folder)
    assert pack.card == CARD
    assert pack.inputs.shape == (5, 3, 4, 4)
    assert (pack.inputs[:] == IMAGES).all()
    assert pack.examples[["id", "group", "split"]].equals(EXAMPLES[["id", "group", "split"]])
    assert pack.rows("pool").tolist() == [0, 2, 4]
    assert pack.rows("test").tolist() == [1, 3]
    assert pack.class_numbers(pack.rows("pool")).tolist() == [0, 1, 0]
    assert pack.ids(pack.rows("test")) == ["i1", "i3"]


def test_images_cannot_be_written(folder):
    with pytest.raises(TypeError, match="item assignment"):
        Pack(folder).inputs[0, 0, 0, 0] = 1


def test_the_labels_of_test_rows_are_null_in_the_pack_and_so_are_their_paths(folder):
    """A path begins with its class."""
    examples = Pack(folder).examples
    for column in ("label", "path"):
        assert examples[column][[1, 3]].isna().all()
        assert examples[column][[0, 2, 4]].tolist() == EXAMPLES[column][[0, 2, 4]].tolist()
    assert b"b/1.png" not in (folder / "examples.parquet").read_bytes()


def test_the_labels_of_test_rows_lie_apart(folder):
    assert read_test_labels(folder).to_dict("list") == {
        "id": ["i1", "i3"],
        "path": ["a/1.png", "b/1.png"],
        "label": ["a", "b"],
        "group": ["g1", "g3"],
    }
    assert sorted(path.name for path in folder.with_name("set.test").iterdir()) == ["labels.parquet", "manifest.json"]


def test_the_pack_says_what_it_holds(folder):
    """As any modality declares its arrays and targets; other programs read this."""
    declared = json.loads((folder / "card.json").read_text())
    assert declared["modality"] == "image"
    assert declared["arrays"] == [{"name": "inputs", "file": "inputs.npy", "dtype": "uint8", "shape": [5, 3, 4, 4]}]
    assert declared["targets"] == [{"name": "label", "kind": "class", "unit": None}]
    assert np.load(folder / "inputs.npy").shape == (5, 3, 4, 4)
    assert pd.read_csv(folder / "rejected.csv").to_dict("list") == {
        "path": ["a/bad.png"],
        "reason": ["UNREADABLE: OSError: image file is truncated"],
    }


@pytest.mark.parametrize("name", ["inputs.npy", "examples.parquet", "card.json", "rejected.csv"])
def test_a_changed_file_is_noticed(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(IntegrityError, match=f"set/{name} is not the file that was published"):
        Pack(folder)


def test_changed_test_labels_are_noticed(folder):
    path = folder.with_name("set.test") / "labels.parquet"
    path.write_bytes(path.read_bytes() + b" ")
    Pack(folder)
    with pytest.raises(IntegrityError, match=r"set\.test/labels\.parquet is not the file that was published"):
        read_test_labels(folder)


def test_test_labels_that_are_not_there_are_noticed(tmp_path):
    with pytest.raises(IntegrityError, match=r"set\.test has no manifest\.json"):
        read_test_labels(tmp_path / "set")


def test_a_pack_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(IntegrityError, match=r"set has no manifest\.json: it was not published whole; run its step"):
        Pack(tmp_path / "set")


def test_the_digest_follows_the_content(folder, tmp_path):
    rejected = pd.DataFrame([("a/bad.png", "UNREADABLE: OSError: image file is truncated")], columns=["path", "reason"])

    def digest(name, images=IMAGES, examples=EXAMPLES):
        write_pack(tmp_path / name, card=CARD, examples=examples, inputs=images, rejected=rejected)
        return pack_digest(tmp_path / name)

    assert digest("same") == pack_digest(folder)
    assert digest("pixels", images=255 - IMAGES) != pack_digest(folder)
    relabelled = EXAMPLES.assign(label=["a", "a", "a", "b", "a"])
    assert digest("labels", examples=relabelled) != pack_digest(folder)


def test_the_digest_does_not_know_the_test_labels(folder, tmp_path):
    """So that nothing but evaluate runs again when one of them is corrected."""
    corrected = EXAMPLES.assign(label=["a", "b", "b", "b", "a"])
    rejected = pd.DataFrame([("a/bad.png", "UNREADABLE: OSError: image file is truncated")], columns=["path", "reason"])
    write_pack(tmp_path / "other", card=CARD, examples=corrected, inputs=IMAGES, rejected=rejected)
    assert pack_digest(tmp_path / "other") == pack_digest(folder)
    assert read_test_labels(tmp_path / "other")["label"].tolist() == ["b", "b"]


def test_images_are_written_as_numpy_would(folder, tmp_path):
    """Block by block, and the same bytes."""
    np.save(tmp_path / "whole.npy", IMAGES)
    assert (folder / "inputs.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
