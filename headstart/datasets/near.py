"""Near duplicates: a picture saved once more, resized, brightened or with some noise is no second picture.

Each image has a sketch: the lowest frequencies of its cosine transform without the mean, of length 1, as perceptual
hashes take them (but numbers, not bits: of digits the bits are nearly all alike). Two images are near duplicates where
the cosine between their sketches is high enough. Measured: docs/reliability.md. Crops and mirror images are not found.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

FREQUENCIES = 8  # a side, of brightness
OF_COLOUR = 3  # likewise, of the two differences of colour, which JPEG and palettes change most
COLOUR = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], np.float32)  # JFIF's
WEIGHT = 0.5  # of colour against brightness
LOWEST = 5  # a side, of brightness: 24 numbers in which no two sketches are further apart than as a whole
FLATTEST = 2.0  # gray levels, root mean square; below it a sketch would be of noise alone
LOW = [i * FREQUENCIES + j - 1 for i in range(LOWEST) for j in range(LOWEST) if i + j]  # their places in a sketch
CANDIDATES = 8  # for each image; larger clusters hang together by chains

Sketches = NDArray[np.float16]


def sketch(images: NDArray[np.uint8]) -> Sketches:
    """(images, channels, size, size) -> (images, 63, or 79 in colour), of length 1; zeros for one without contrast."""
    basis = _basis(images.shape[-1])
    found = basis @ images.astype(np.float32) @ basis.T
    parts = [found[:, 0]]
    if images.shape[1] == len(COLOUR):
        bright, *differences = np.einsum("ij,njkl->inkl", COLOUR, found)
        parts = [bright, *(WEIGHT * part[:, :OF_COLOUR, :OF_COLOUR] for part in differences)]
    numbers = np.concatenate([part.reshape(len(images), -1)[:, 1:] for part in parts], axis=1)
    length = np.linalg.norm(numbers, axis=1, keepdims=True)
    flat = length < FLATTEST * images.shape[-1]
    return np.where(flat, 0, numbers / np.maximum(length, 1e-6)).astype(np.float16)


def near_duplicates(contents: Sequence[str], sketches: Sequence[Sketches], *, similarity: float) -> list[str | None]:
    """The name of each row's cluster of near duplicates, None where it has none: exact copies alone are no cluster.

    contents: digests. similarity: cosine from which two are near duplicates; 1 finds none. A cluster is named by the
    smallest digest in it.
    """
    first = {content: row for row, content in reversed(list(enumerate(contents)))}
    if similarity >= 1 or len(first) < 2:
        return [None] * len(contents)
    names = list(first)
    known = np.array([sketches[first[name]] for name in names], dtype=np.float32)
    pairs = _pairs(known, similarity)
    size = len(names)
    _, part = connected_components(coo_array((np.ones(len(pairs)), pairs.T), shape=(size, size)), directed=False)
    shared = np.bincount(part)[part] > 1
    smallest: dict[int, str] = {}
    for number, name in zip(part, names, strict=True):
        smallest[number] = min(smallest.get(number, name), name)
    cluster = {name: smallest[part[place]] if shared[place] else None for place, name in enumerate(names)}
    return [cluster[content] for content in contents]


def _pairs(known: NDArray[np.float32], similarity: float) -> NDArray[np.intp]:
    """(pairs, 2): rows that are near duplicates; of each row the nearest ones."""
    rows = np.flatnonzero(known.any(axis=1))
    low = np.ascontiguousarray(known[rows][:, LOW])
    furthest = np.sqrt(2 - 2 * similarity) * 1.01  # sketches are rounded to 16 bits
    count = min(CANDIDATES + 1, len(rows))
    if count < 2:
        return np.zeros((0, 2), np.intp)
    _, found = cKDTree(low).query(low, k=count, distance_upper_bound=furthest)  # missing ones have the number of rows
    left, right = np.repeat(np.arange(len(rows)), count), found.ravel()
    keep = (right < len(rows)) & (left != right)
    left, right = rows[left[keep]], rows[right[keep]]
    near = np.einsum("ij,ij->i", known[left], known[right]) >= similarity
    return np.stack([left[near], right[near]], axis=1)


@cache
def _basis(size: int) -> NDArray[np.float32]:
    """(frequencies, size): the lowest cosines."""
    found: NDArray[np.float64] = dct(np.eye(size), axis=0, norm="ortho")
    return found[:FREQUENCIES].astype(np.float32)
