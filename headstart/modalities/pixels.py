"""Images as plain vectors: the raw inputs that features are held against."""

import numpy as np
from numpy.typing import NDArray

LARGEST_SIDE = 32  # pixels; larger images are averaged down, or a row would be longer than anything can be told from


def pixel_vectors(rows: NDArray[np.uint8], places: NDArray[np.intp]) -> NDArray[np.float32]:
    """(places, channels * side * side) of some rows, fractions of 1; rows: (all of them, channels, height, width)."""
    return np.stack([_shrunk(rows[place]).ravel() for place in places]) if len(places) else np.zeros((0, 1), np.float32)


def _shrunk(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(channels, height, width): means of squares of pixels, such that neither side is longer than LARGEST_SIDE."""
    step = -(-max(image.shape[1:]) // LARGEST_SIDE)
    found = image.astype(np.float32) / 255.0
    if step > 1:
        for axis in (1, 2):
            starts = np.arange(0, image.shape[axis], step)
            sizes = np.diff([*starts, image.shape[axis]])
            shape = [-1 if place == axis else 1 for place in range(3)]
            found = np.add.reduceat(found, starts, axis=axis) / sizes.reshape(shape).astype(np.float32)
    return found
