"""Rows as points on principal components, k-means of them, and what clusters are worth: scikit-learn's own figures."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.evaluation.clusters import SHARE

SILHOUETTE_ROWS = 1_000  # that a silhouette is taken over: it is of all pairs of rows
MOST_COMPONENTS = 128
FEW, MANY = 3, 10  # starts of k-means: where there are many to run, and for what is shown

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Space:
    """Rows on principal components: points (rows, components), each component's share of the variance; of `columns`."""

    points: Floats
    shares: Floats
    columns: int


def space_of(vectors: NDArray[np.floating], *, standardise: bool, seed: int) -> Space:
    """The fewest principal components that carry SHARE of the variance, MOST_COMPONENTS at most; none of equal rows.

    vectors: (rows, d).
    """
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    rows, columns = vectors.shape
    if (vectors == vectors[:1]).all():
        return Space(np.zeros((rows, 0)), np.zeros(0), columns)
    scaled = StandardScaler(with_std=standardise).fit_transform(np.asarray(vectors, dtype=np.float64))
    pca = PCA(min(MOST_COMPONENTS, rows, columns), random_state=seed % 2**32).fit(scaled)
    count = int(np.searchsorted(pca.explained_variance_ratio_.cumsum(), SHARE)) + 1
    return Space(pca.transform(scaled)[:, :count], pca.explained_variance_ratio_[:count], columns)


def k_means(points: Floats, k: int, *, starts: int, seed: int) -> tuple[Rows, Floats]:
    """(rows,) places, and distances to the own centre."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than clusters: some stay empty
        fitted = KMeans(k, n_init=starts, random_state=seed).fit(points)
    places = fitted.labels_.astype(np.intp)
    return places, fitted.transform(points)[np.arange(len(points)), places]


def figures(points: Floats, places: Rows, values: Floats, classes: Sequence[str], *, seed: int) -> dict[str, float]:
    """silhouette, nmi, ari and explained of clusters; NaN where one does not exist.

    points (rows, components), places (rows,): each row's cluster. values: (rows,), or (rows, values) of several; NaN
    where there is no label.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    table = values[:, None] if values.ndim == 1 else values
    known = np.isfinite(table).all(axis=1)
    given, own = table[known], places[known]
    found = dict.fromkeys(("nmi", "ari", "explained"), float("nan"))
    if len(np.unique(given)) > 1 and classes:
        found["nmi"] = float(normalized_mutual_info_score(given[:, 0].astype(int), own))
        found["ari"] = float(adjusted_rand_score(given[:, 0].astype(int), own))
    elif len(np.unique(given)) > 1:
        found["explained"] = float(np.mean([explained(column, own) for column in given.T]))
    return {"silhouette": silhouette(points, places, seed=seed)} | found


def explained(values: Floats, places: Rows) -> float:
    """Share of the values' variance that lies between clusters, less what chance gives (the adjusted R2)."""
    from sklearn.metrics import r2_score

    _, own, counts = np.unique(places, return_inverse=True, return_counts=True)
    if len(values) <= len(counts):
        return float("nan")
    means = np.bincount(own, weights=values) / counts
    share = float(r2_score(values, means[own]))
    return 1 - (1 - share) * (len(values) - 1) / (len(values) - len(counts))


def silhouette(points: Floats, places: Rows, *, seed: int) -> float:
    """The mean silhouette of at most SILHOUETTE_ROWS rows; NaN where they lie in one cluster, or each in its own."""
    from sklearn.metrics import silhouette_score

    if len(points) > SILHOUETTE_ROWS:
        rows = np.random.default_rng([seed, 2]).permutation(len(points))[:SILHOUETTE_ROWS]
        points, places = points[rows], places[rows]
    if not 2 <= len(np.unique(places)) < len(places):
        return float("nan")
    return float(silhouette_score(points, places))
