"""clusters.json as frozen models, and in words: do the source's features already separate the target?"""

from typing import Literal

from headstart.evaluation.record import Number, Record

SHARE = 0.9  # of the variance that the components kept carry
RECOVERED = 0.65  # an adjusted Rand index from which on recovery is at least moderate (Steinley 2004)
LITTLE = 0.2

Metric = Literal["ari", "explained", "silhouette"]
WORDS = {"ari": "an ARI of", "explained": "a share of the values' variance of", "silhouette": "a silhouette of"}


class Figure(Record):
    """A figure and its interval over refits on random halves of the rows; null bounds: too few rows to refit."""

    value: Number
    low: Number | None
    high: Number | None


class Fit(Record):
    """k-means at k clusters. Null where a figure does not exist: nmi and ari need classes, explained needs values."""

    k: int
    silhouette: Figure | None
    nmi: Figure | None
    ari: Figure | None
    explained: Figure | None


class Vectors(Record):
    """One way to see the rows: a W's features, or the raw inputs (source is empty then).

    columns: of a row. components: principal ones that were clustered, which carry a share `carried` of the variance.
    chosen: at the k of the largest silhouette. compared: at the k that all are compared at. gain: the headline figure's
    over that of the raw inputs.
    """

    source: str
    columns: int
    components: int
    carried: Number
    chosen: Fit | None
    compared: Fit | None
    gain: Figure | None = None

    @property
    def headline(self) -> Fit | None:
        """The fit that the answer is about."""
        return self.compared or self.chosen


class Cluster(Record):
    """One cluster of the picture.

    common: its commonest classes with their shares of its labelled rows. mean, sd: of its values; each: the same of
    each of several values. examples: ids of the rows nearest to its centre, the nearest first.
    """

    rows: int
    labelled: int
    common: tuple[tuple[str, Number], ...]
    mean: Number | None
    sd: Number | None
    examples: tuple[str, ...]
    each: tuple[tuple[Number, Number], ...] = ()


class Shown(Record):
    """The picture: the clusters of one source's features, the largest first, and rows on two principal components.

    points: (x, y) of some rows; places: the cluster of each. shares: of the variance on either axis.
    """

    source: str
    clusters: tuple[Cluster, ...]
    points: tuple[tuple[Number, Number], ...]
    places: tuple[int, ...]
    shares: tuple[Number, Number]


class Clusters(Record):
    """What explore found.

    rows: drawn, of `of` rows outside of the test rows; labelled: of those drawn. metric: the headline figure.
    sources: the best first.
    """

    kind: str
    unit: str
    rows: int
    of: int
    labelled: int
    metric: Metric
    refits: int
    confidence: Number
    sources: tuple[Vectors, ...]
    raw: Vectors
    shown: Shown | None

    def figure(self, vectors: Vectors) -> Figure | None:
        """The headline figure of a way to see the rows."""
        found: Figure | None = getattr(vectors.headline, self.metric) if vectors.headline else None
        return found


def answer(document: Clusters) -> str:
    """In a few words, of the best source; with a but where chance, or the raw inputs, do as well."""
    best = document.sources[0]
    found = document.figure(best)
    if found is None or document.metric == "silhouette":
        return "Not to be told"
    if found.low is not None and found.low <= 0:
        return "Not more than by chance"
    said = "Largely" if found.value >= RECOVERED else "In part" if found.value >= LITTLE else "Only a little"
    against = "more than" if best.gain is None else _against(best.gain)
    return said if against == "more than" else f"{said}, but {against} the raw inputs"


def sentence(document: Clusters) -> str:
    """Such as "at 10 clusters the features under mnist5k's W have an ARI of 0.89 (0.80..0.97), more than ..."."""
    best = document.sources[0]
    found, raw = document.figure(best), document.figure(document.raw)
    if best.headline is None or found is None:
        return f"{document.rows} rows are too few to find clusters in"
    what = f"{WORDS[document.metric]} {between(found)}"
    said = f"at {best.headline.k} clusters the features under {best.source}'s W have {what}"
    if raw is None or best.gain is None or document.raw.headline is None:
        return said
    at = "" if document.raw.headline.k == best.headline.k else f" at {document.raw.headline.k}"
    return (
        f"{said}, {_against(best.gain)} the raw inputs{at}: {raw.value:.2f}, a difference of {between(best.gain, '+')}"
    )


def lines(document: Clusters) -> list[str]:
    """The answer, and a line for each way to see the rows."""
    first = f"do the source's features already separate the target? {answer(document)}: {sentence(document)}"
    return [first, *(_line(vectors) for vectors in (*document.sources, document.raw))]


def between(figure: Figure, sign: str = "") -> str:
    """ "0.89 (0.80..0.97)"; sign: "+" where the figure is a difference."""
    ends = [round(end, 2) + 0.0 for end in (figure.value, figure.low, figure.high) if end is not None]  # no "-0.00"
    value, *interval = (f"{end:{sign}.2f}" for end in ends)
    return f"{value} ({'..'.join(interval)})" if interval else value


def _against(gain: Figure) -> str:
    if gain.low is not None and gain.low > 0:
        return "more than"
    return "less than" if gain.high is not None and gain.high < 0 else "not told from"


def _line(vectors: Vectors) -> str:
    """Such as "raw inputs: 23 of 784 dimensions carry 90%; 10 clusters: ARI 0.64 (0.55..0.73), NMI ..."."""
    name = f"features under {vectors.source}" if vectors.source else "raw inputs"
    fits = [_said(fit) for fit in dict.fromkeys((vectors.compared, vectors.chosen)) if fit]
    chosen = f"; the largest silhouette is at {vectors.chosen.k}" if vectors.chosen else ""
    return f"{name}: {dimensions(vectors)}{''.join(f'; {said}' for said in fits)}{chosen}"


def dimensions(vectors: Vectors) -> str:
    """How many components carry the share that is kept: "8 of 96 dimensions carry 90%"."""
    more = "more than " if vectors.carried < SHARE else ""
    return f"{more}{vectors.components} of {vectors.columns:,} dimensions carry {SHARE:.0%}"


def _said(fit: Fit) -> str:
    named = (("ARI", fit.ari), ("NMI", fit.nmi), ("values' variance", fit.explained), ("silhouette", fit.silhouette))
    return f"{fit.k} clusters: " + ", ".join(f"{name} {between(figure)}" for name, figure in named if figure)
