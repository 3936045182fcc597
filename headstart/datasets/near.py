"""Near duplicates: a picture saved once more, or a text in another case, is no second one.

Each row has a sketch of length 1, which its modality makes. Two rows are near duplicates where the cosine between their
sketches is high enough. Measured: docs/reliability.md.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

# Places in a sketch: few numbers in which no two are further apart than as a whole. Of an image they are the lowest
# 5 by 5 of its 8 by 8 frequencies of brightness; of a text any would do.
LOW = [row * 8 + column - 1 for row in range(5) for column in range(5) if row + column]
CANDIDATES = 8  # for each row; larger clusters hang together by chains

Sketches = NDArray[np.float16]


def near_duplicates(
    contents: Sequence[str], sketches: Sequence[Sketches | None], *, similarity: float
) -> list[str | None]:
    """The name of each row's cluster of near duplicates, None where it has none: exact copies alone are no cluster.

    contents: digests. sketches: a row each, None where it has none. similarity: cosine from which two are near
    duplicates; 1 finds none. A cluster is named by the smallest digest in it.
    """
    first = {content: row for row, content in reversed(list(enumerate(contents)))}
    if similarity >= 1 or len(first) < 2:
        return [None] * len(contents)
    names = list(first)
    length = max((len(own) for own in sketches if own is not None), default=0)
    if not length:
        return [None] * len(contents)
    nothing = np.zeros(length, np.float16)  # is near nothing
    found = [sketches[row] for row in first.values()]
    known = np.array([nothing if own is None else own for own in found], dtype=np.float32)
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
