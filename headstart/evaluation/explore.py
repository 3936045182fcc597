"""Unsupervised: clusters of the target's rows as W sees them, held against clusters of the raw inputs.

k-means (Lloyd) on the principal components that carry 90% of the variance; k by the mean silhouette (Rousseeuw 1987).
No label is fitted to: where there are some, they say afterwards whether the clusters are the classes, by the adjusted
Rand index (Hubert and Arabie 1985; 0 is chance) and the normalised mutual information, or how much of the values'
variance lies between clusters. Features are standardised, for their columns have no unit in common; pixels have one and
are only centred, or noise at the border would weigh as much as the strokes.

Intervals: k-means is run again on random halves of the rows, from other starts. Around a figure of all n rows, one of
n / 2 drawn without replacement varies as that of n does around its population's, 1 / (n / 2) - 1 / n = 1 / n: its s.d.
over halves is the standard error. Components stay those of all rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from headstart.evaluation.clusters import Cluster, Clusters, Figure, Fit, Metric, Shown, Vectors
from headstart.evaluation.spaces import FEW, MANY, Floats, Rows, Space, figures, k_means, silhouette, space_of

MOST_ROWS = 2_000  # that are looked at
CANDIDATES = (*range(2, 11), 12, 14, 16, 20, 25, 30)
ROWS_A_CLUSTER = 4  # there must be, on average
EVEN = 10  # clusters that values are compared at
REFITS = 12
EXAMPLES, COMMON, POINTS = 6, 3, 600  # of a cluster, of a cluster, of the picture


@dataclass(frozen=True)
class Targets:
    """What is known of the rows: ids; values (rows,), numbers of classes or values, NaN where there is no label.

    classes: names, none where the target is a value. unit: of a value. Of several values they are (rows, values).
    """

    ids: Sequence[str]
    values: Floats
    classes: tuple[str, ...]
    unit: str = ""

    @property
    def labelled(self) -> int:
        return int(known_of(self.values).sum())

    @property
    def metric(self) -> Metric:
        """The figure that the answer is about."""
        if len(np.unique(self.values[known_of(self.values)])) < 2:
            return "silhouette"
        return "ari" if self.classes else "explained"


@dataclass(frozen=True)
class _Clustered:
    """k-means of all rows, (rows,) places and distances to the own centre; its figures, and those of each half."""

    k: int
    places: Rows
    distances: Floats
    figures: Mapping[str, float]
    halves: Mapping[str, Floats]


def known_of(values: Floats) -> NDArray[np.bool_]:
    """(rows,): which have a label, of values (rows,) or (rows, values)."""
    table = values[:, None] if values.ndim == 1 else values
    known: NDArray[np.bool_] = np.asarray(np.isfinite(table).all(axis=1))
    return known


def draw_rows(values: Floats, *, seed: int) -> Rows:
    """Positions of the rows to look at, in order: all of them, or MOST_ROWS drawn, half of them labelled if need be."""
    if len(values) <= MOST_ROWS:
        return np.arange(len(values))
    order = np.random.default_rng([seed, 0]).permutation(len(values))
    known = known_of(values)[order]
    labelled, others = order[known], order[~known]
    kept = labelled[: max(MOST_ROWS // 2, MOST_ROWS - len(others))]
    return np.sort(np.concatenate([kept, others[: MOST_ROWS - len(kept)]]))


def explore(
    features: Mapping[str, NDArray[np.floating]],
    raw: NDArray[np.floating],
    targets: Targets,
    *,
    of: int,
    seed: int,
    confidence: float,
) -> Clusters:
    """Clusters of the same rows as each source's W sees them, and as they are given.

    features: (rows, d) by source; raw: (rows, p), in one unit. of: rows that these were drawn from.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # sums of several threads differ in their last bits
        look = _Look(targets, seed=seed, confidence=confidence)
        pixels = look.at(space_of(raw, standardise=False, seed=seed))
        seen = {name: look.at(space_of(found, standardise=True, seed=seed)) for name, found in features.items()}
    order = sorted(seen, key=lambda name: look.rank(seen[name]))
    return Clusters(
        kind="class" if targets.classes else "value",
        unit=targets.unit,
        rows=len(targets.ids),
        of=of,
        labelled=targets.labelled,
        metric=targets.metric,
        refits=REFITS,
        confidence=confidence,
        sources=tuple(look.described(seen[name], name, pixels) for name in order),
        raw=look.described(pixels, "", None),
        shown=_shown(seen[order[0]], order[0], targets),
    )


@dataclass(frozen=True)
class _Seen:
    """A space with its clusters at the k of the largest silhouette and at the k that all are compared at."""

    space: Space
    chosen: _Clustered | None
    compared: _Clustered | None

    @property
    def headline(self) -> _Clustered | None:
        return self.compared or self.chosen


class _Look:
    """How each space is looked at: the same rows, halves and k for all of them."""

    def __init__(self, targets: Targets, *, seed: int, confidence: float):
        self.targets, self.seed, self.confidence = targets, seed % 2**32, confidence
        rows = len(targets.ids)
        self.most = rows // ROWS_A_CLUSTER
        draw = np.random.default_rng([seed, 1])
        self.halves = [np.sort(draw.permutation(rows)[: rows // 2]) for _ in range(REFITS)]
        wanted = {"ari": len(targets.classes), "explained": EVEN, "silhouette": 0}[targets.metric]
        self.compared = wanted if 2 <= wanted <= self.most else None

    def at(self, space: Space) -> _Seen:
        """Clusters it; without any where rows are too few, or all the same."""
        candidates = sorted(k for k in {*CANDIDATES, self.compared or 2} if k <= self.most)
        if not candidates or not len(space.shares):
            return _Seen(space, None, None)
        scores = {}
        for k in candidates:
            places, _ = k_means(space.points, k, starts=FEW, seed=self.seed)
            scores[k] = silhouette(space.points, places, seed=self.seed)
        best = max(candidates, key=lambda k: (np.nan_to_num(scores[k], nan=-2.0), -k))
        compared = None if self.compared is None else self._clustered(space, self.compared)
        return _Seen(space, compared if best == self.compared else self._clustered(space, best), compared)

    def _clustered(self, space: Space, k: int) -> _Clustered:
        places, distances = k_means(space.points, k, starts=MANY, seed=self.seed)
        whole = figures(space.points, places, self.targets.values, self.targets.classes, seed=self.seed)
        again = [self._half(space, k, rows, number) for number, rows in enumerate(self.halves, start=1)]
        return _Clustered(k, places, distances, whole, {name: np.array([h[name] for h in again]) for name in whole})

    def _half(self, space: Space, k: int, rows: Rows, number: int) -> dict[str, float]:
        places, _ = k_means(space.points[rows], k, starts=FEW, seed=(self.seed + number) % 2**32)
        return figures(space.points[rows], places, self.targets.values[rows], self.targets.classes, seed=self.seed)

    def rank(self, seen: _Seen) -> float:
        """Lower is better: by the headline figure, spaces without one last."""
        found = seen.headline.figures[self.targets.metric] if seen.headline else np.nan
        return -float(np.nan_to_num(found, nan=-2.0))

    def described(self, seen: _Seen, source: str, raw: _Seen | None) -> Vectors:
        """What the document says of it, and of how it compares with the raw inputs."""
        gain = None
        if raw and raw.headline and seen.headline:
            ours, theirs, name = seen.headline, raw.headline, self.targets.metric
            gain = self._figure(ours.figures[name] - theirs.figures[name], ours.halves[name] - theirs.halves[name])
        return Vectors(
            source=source,
            columns=seen.space.columns,
            components=len(seen.space.shares),
            carried=float(seen.space.shares.sum()),
            chosen=self._fit(seen.chosen),
            compared=self._fit(seen.compared),
            gain=gain,
        )

    def _fit(self, found: _Clustered | None) -> Fit | None:
        if found is None:
            return None
        named = {name: self._figure(value, found.halves[name], top=1.0) for name, value in found.figures.items()}
        return Fit(k=found.k, **named)

    def _figure(self, value: float, halves: Floats, *, top: float = np.inf) -> Figure | None:
        """With its interval from the halves' s.d. (see the module's text); None where it does not exist."""
        if not np.isfinite(value):
            return None
        there = halves[np.isfinite(halves)]
        if len(there) < REFITS / 2:
            return Figure(value=value, low=None, high=None)
        half = float(student.ppf((1 + self.confidence) / 2, len(there) - 1) * there.std(ddof=1))
        return Figure(value=value, low=value - half, high=min(value + half, top))


def _shown(seen: _Seen, source: str, targets: Targets) -> Shown | None:
    """The picture of the best source's headline clusters; None where there are none."""
    found = seen.headline
    if found is None:
        return None
    sizes = np.bincount(found.places, minlength=found.k)
    order = [int(place) for place in np.argsort(-sizes, kind="stable") if sizes[place]]
    plane = np.pad(seen.space.points[:, :2], ((0, 0), (0, max(0, 2 - seen.space.points.shape[1]))))
    kept = np.linspace(0, len(plane) - 1, min(len(plane), POINTS)).round().astype(int)
    number = {place: rank for rank, place in enumerate(order)}
    shares = [*seen.space.shares[:2], 0.0][:2]
    return Shown(
        source=source,
        clusters=tuple(_cluster(np.flatnonzero(found.places == place), found.distances, targets) for place in order),
        points=tuple((round(float(x), 3), round(float(y), 3)) for x, y in plane[kept]),
        places=tuple(number[int(place)] for place in found.places[kept]),
        shares=(float(shares[0]), float(shares[1])),
    )


def _cluster(rows: Rows, distances: Floats, targets: Targets) -> Cluster:
    """Of these rows; distances: of all rows to their centres."""
    values = targets.values[rows][known_of(targets.values[rows])]
    nearest = rows[np.argsort(distances[rows], kind="stable")[:EXAMPLES]]
    counts = np.bincount(values.astype(int), minlength=len(targets.classes)) if targets.classes else np.zeros(0)
    common = [int(place) for place in np.argsort(-counts, kind="stable")[:COMMON] if counts[place]]
    has_values = not targets.classes and len(values) > 0
    several = values.ndim > 1
    return Cluster(
        rows=len(rows),
        labelled=len(values),
        common=tuple((targets.classes[place], float(counts[place] / len(values))) for place in common),
        mean=float(values.mean()) if has_values and not several else None,
        sd=float(values.std()) if has_values and not several else None,
        each=tuple((float(own.mean()), float(own.std())) for own in values.T) if has_values and several else (),
        examples=tuple(str(targets.ids[row]) for row in nearest),
    )
