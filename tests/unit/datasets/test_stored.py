"""Stored images: rows come as an array would give them, whatever files they lie in, and memory does not grow."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.datasets.pack import Card, Pack, write_pack
from headstart.datasets.stored import Stored, write_shards
from headstart.errors import IntegrityError

PIXELS = np.random.default_rng(0).integers(0, 256, (23, 3, 4, 5), dtype=np.uint8)


def stored(folder, pixels=PIXELS, *, most: float, block: int = 7) -> Stored:
    blocks = (pixels[start : start + block] for start in range(0, len(pixels), block))
    return Stored(
        [
            folder / name
            for name, _ in write_shards(folder, "images", blocks, shape=pixels.shape, dtype=pixels.dtype, most=most)
        ]
    )


@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(1, 40),
    most=st.integers(1, 1000),
    block=st.integers(1, 50),
    wanted=st.lists(st.integers(0, 10**6), max_size=30),
    start=st.integers(-45, 45),
    stop=st.integers(-45, 45),
    step=st.sampled_from([1, 2, -1, 3]),
)
def test_rows_are_the_same_however_they_are_cut(tmp_path_factory, rows, most, block, wanted, start, stop, step):
    """Any shard size, any blocks they came in, any rows asked for."""
    pixels = np.random.default_rng(rows).integers(0, 256, (rows, 2, 3, 2), dtype=np.uint8)
    folder = tmp_path_factory.mktemp("stored")
    found = stored(folder, pixels, most=most, block=block)
    each = max(1, most // 12)
    assert len(list(folder.iterdir())) == -(-rows // each)
    assert all(np.load(path).shape[0] <= each for path in folder.iterdir())
    assert found.shape == pixels.shape
    numbers = np.array([number % rows for number in wanted], dtype=np.intp)
    assert np.array_equal(found[numbers], pixels[numbers])
    assert np.array_equal(found[start:stop:step], pixels[start:stop:step])
    assert np.array_equal(found[:], pixels)


@pytest.mark.parametrize("most", [1e9, 200, 1])
@pytest.mark.parametrize(
    "part",
    [
        0,
        -1,
        np.int64(22),
        [3, 3, 4, 5, 22, 0],
        np.array([[1, 2], [-3, 4]]),
        np.arange(23) % 3 == 0,
        slice(None, None, -1),
        (4, 0),
        (slice(2, 9), 1, 2),
        ([5, 6], slice(None), 0),
        [],
        np.array([], dtype=np.intp),
    ],
    ids=str,
)
def test_it_is_indexed_as_an_array_is(tmp_path, most, part):
    expected = PIXELS[part] if not (isinstance(part, list) and not part) else PIXELS[:0]
    found = stored(tmp_path, most=most)[part]
    assert found.dtype == np.uint8
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("part", [23, -24, [0, 23], np.array([0.5])], ids=str)
def test_rows_that_are_not_there_are_refused(tmp_path, part):
    with pytest.raises(IndexError):
        stored(tmp_path, most=300)[part]


def test_it_is_an_array_where_one_is_asked_for(tmp_path):
    assert np.array_equal(np.asarray(stored(tmp_path, most=300)), PIXELS)
    assert np.asarray(stored(tmp_path, most=300), dtype=np.float32).dtype == np.float32


def test_one_file_keeps_its_name_and_numpys_bytes(tmp_path):
    assert write_shards(tmp_path, "images", [PIXELS], shape=PIXELS.shape, dtype="uint8", most=PIXELS.nbytes) == [
        ("images.npy", 23)
    ]
    np.save(tmp_path / "whole.npy", PIXELS)
    assert (tmp_path / "images.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_shards_are_files_of_numpys_own(tmp_path):
    found = write_shards(tmp_path, "images", [PIXELS], shape=PIXELS.shape, dtype="uint8", most=PIXELS.nbytes - 1)
    assert found == [("images-00000-of-00002.npy", 22), ("images-00001-of-00002.npy", 1)]
    assert np.array_equal(np.concatenate([np.load(tmp_path / name) for name, _ in found]), PIXELS)


def test_a_pack_of_shards_is_the_same_pack(tmp_path):
    """Its card declares them, and its manifest holds each of them to its digest."""
    card = Card("set", ("a",), {"a": 23}, {"pool": 23}, {}, 0, 0, "image", 3, (4, 4), {}, (0.1,) * 3, (0.2,) * 3)
    table = pd.DataFrame({name: [str(row) for row in range(23)] for name in ("id", "path", "group")})
    table = table.assign(label="a", split="pool")
    pixels = PIXELS[..., :4]
    for name, shard_gb in (("one", 2.0), ("many", 500e-9)):
        write_pack(
            tmp_path / name, card=card, examples=table, inputs=pixels, rejected=table[["path"]], shard_gb=shard_gb
        )
    one, many = Pack(tmp_path / "one"), Pack(tmp_path / "many")
    assert one.card == many.card
    assert np.array_equal(one.inputs[:], many.inputs[:])
    declared = json.loads((tmp_path / "many" / "card.json").read_text())["arrays"][0]
    assert declared["shards"][0] == {"file": "inputs-00000-of-00003.npy", "rows": 10}
    assert [shard["rows"] for shard in declared["shards"]] == [10, 10, 3]
    assert declared["shape"] == [23, 3, 4, 4]
    assert "file" not in declared
    path = tmp_path / "many" / "inputs-00001-of-00003.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(IntegrityError, match="inputs-00001-of-00003.npy is not the file that was published"):
        Pack(tmp_path / "many")


def test_a_file_that_was_cut_short_is_an_error_not_the_end_of_the_process(tmp_path):
    images = stored(tmp_path, most=1e9)
    with (tmp_path / "images.npy").open("r+b") as file:
        file.truncate(200)
    with pytest.raises(IntegrityError, match=r"images\.npy is shorter than it was; delete its folder"):
        images[20]


def test_what_is_no_array_of_bytes_is_refused(tmp_path):
    (tmp_path / "text.npy").write_text("no array")
    np.save(tmp_path / "floats.npy", np.zeros(3))
    np.save(tmp_path / "other.npy", np.zeros((2, 5), np.uint8))
    stored(tmp_path, most=1e9)
    for names, message in (
        (["text.npy"], "text.npy is no array of numpy's"),
        (["floats.npy"], "floats.npy holds float64 where whole numbers"),
        (["images.npy", "other.npy"], "other.npy has rows of another shape"),
        (["none.npy"], "none.npy cannot be read: No such file"),
    ):
        with pytest.raises(IntegrityError, match=message):
            Stored([tmp_path / name for name in names])


READS = """
import sys
import numpy as np
from pathlib import Path
from headstart.datasets.stored import Stored
def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
images = Stored([Path(sys.argv[1])])
before = resident()
for rows in np.array_split(np.random.default_rng(0).permutation(len(images)), 200):
    images[rows]
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_what_is_read_stays_out_of_the_process(tmp_path):
    """A map of these 100 MB would count as its memory once all rows were touched."""
    blocks = (np.full((1000, 10, 1000), number, np.uint8) for number in range(10))
    write_shards(tmp_path, "images", blocks, shape=(10_000, 10, 1000), dtype="uint8", most=1e9)
    command = [sys.executable, "-c", READS, str(tmp_path / "images.npy")]
    grown = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert grown < 20
