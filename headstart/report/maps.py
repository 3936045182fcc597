"""The 2-D map: how well a representation keeps the target's classes apart, to look at and as a number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 5
_MOST_ROWS = 800  # points on a map; more only cover each other and make the page heavy


@dataclass(frozen=True)
class Map:
    """points: (n, 2) the first two principal components; shares: of the variance that each holds;
    accuracy: of the nearest neighbours, in all dimensions; labels: the n rows' classes."""

    points: NDArray[np.float64]
    shares: tuple[float, float]
    accuracy: float
    labels: list[str]


def make_map(vectors: NDArray[np.floating[Any]], labels: Sequence[str]) -> Map | None:
    """Projects vectors (n, d) on a plane and scores their neighbourhoods; None with fewer than three rows.

    Large sets are thinned to evenly spaced rows, the same ones each time.
    """
    rows = _thinned(len(vectors))
    if len(rows) < 3 or vectors.ndim != 2:
        return None
    kept = np.asarray(vectors[rows], dtype=np.float64)
    names = [str(labels[row]) for row in rows]
    points, shares = _plane(kept)
    return Map(points, shares, neighbour_accuracy(kept, names), names)


@dataclass(frozen=True)
class ValueMap:
    """points, shares: as of a map; error: how far the nearest neighbours' mean value lies off, on average."""

    points: NDArray[np.float64]
    shares: tuple[float, float]
    error: float
    values: NDArray[np.float64]


def make_value_map(vectors: NDArray[np.floating[Any]], values: Sequence[float]) -> ValueMap | None:
    """The same for rows with values."""
    rows = _thinned(len(vectors))
    if len(rows) < 3 or vectors.ndim != 2:
        return None
    kept, numbers = np.asarray(vectors[rows], dtype=np.float64), np.asarray(values, dtype=np.float64)[rows]
    points, shares = _plane(kept)
    nearest, _ = _nearest(kept)
    error = float(np.abs(numbers[nearest].mean(axis=1) - numbers).mean())
    return ValueMap(points, shares, error, numbers)


def neighbour_accuracy(vectors: NDArray[np.float64], labels: Sequence[str]) -> float:
    """Share of rows whose class wins the vote of their nearest other rows by cosine (leave-one-out kNN).

    Votes weigh as much as the neighbours are similar, so that there are hardly any ties.
    """
    classes, codes = np.unique(np.asarray(labels), return_inverse=True)
    nearest, similar = _nearest(vectors)
    votes = np.zeros((len(vectors), len(classes)))
    for column in nearest.T:
        rows = np.arange(len(vectors))
        votes[rows, codes[column]] += 1.0 + similar[rows, column]
    return float((votes.argmax(axis=1) == codes).mean())


def _thinned(count: int) -> NDArray[np.intp]:
    return np.linspace(0, count - 1, min(count, _MOST_ROWS)).round().astype(int)


def _nearest(vectors: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Each row's nearest other rows by cosine, (n, k), and all cosines, (n, n)."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    similar = unit @ unit.T
    np.fill_diagonal(similar, -np.inf)
    nearest = np.argsort(-similar, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(vectors) - 1)]
    return nearest, similar


def _plane(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    from sklearn.decomposition import PCA

    spread = float(vectors.std(axis=0).max())
    if vectors.shape[1] < 2 or spread == 0.0:  # nothing to project: one line, or one point
        first = vectors[:, 0] - vectors[:, 0].mean()
        return np.stack([first, np.zeros(len(first))], axis=1), (float(spread > 0), 0.0)
    pca = PCA(2, svd_solver="randomized", random_state=0)  # random_state: the same map each time
    points = np.asarray(pca.fit_transform(vectors))
    first_share, second_share = pca.explained_variance_ratio_
    return points, (float(first_share), float(second_share))
