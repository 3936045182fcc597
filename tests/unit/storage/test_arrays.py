"""Arrays written row by row are numpy's to the byte, and none is left half written."""

import numpy as np
import pytest

from headstart.storage.arrays import ArrayWriter


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.float32).reshape(6, 2, 2),
        np.arange(5, dtype=np.uint8),
        np.zeros((0, 3), np.float64),
        np.arange(40, dtype=np.int64).reshape(10, 4)[:, ::2],
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
@pytest.mark.parametrize("block", [1, 3, 100])
def test_the_bytes_are_those_of_save(tmp_path, array, block):
    np.save(tmp_path / "whole.npy", np.ascontiguousarray(array))
    with ArrayWriter(tmp_path / "parts.npy", array.shape, array.dtype) as writer:
        for start in range(0, len(array), block):
            writer.write(array[start : start + block])
    assert (tmp_path / "parts.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_too_few_rows_and_other_rows_are_our_own_bugs(tmp_path):
    with (
        pytest.raises(AssertionError, match="2 of 3 rows were written"),
        ArrayWriter(tmp_path / "a.npy", (3, 2), np.dtype(np.uint8)) as writer,
    ):
        writer.write(np.zeros((2, 2), np.uint8))
    with pytest.raises(AssertionError), ArrayWriter(tmp_path / "b.npy", (3, 2), np.dtype(np.uint8)) as writer:
        writer.write(np.zeros((3, 2), np.float32))


def test_an_error_on_the_way_is_the_one_that_is_told(tmp_path):
    with pytest.raises(KeyError), ArrayWriter(tmp_path / "a.npy", (3, 2), np.dtype(np.uint8)):
        raise KeyError("another")
