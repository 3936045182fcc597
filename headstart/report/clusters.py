"""Clusters without labels: the table, the map, and what each cluster looks like."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from headstart.evaluation.clusters import Cluster, Clusters, Figure, Fit, Vectors, dimensions
from headstart.report import words
from headstart.report.amounts import amounts_of
from headstart.report.canvas import Drawing
from headstart.report.classes import draw_clouds
from headstart.report.inputs import Picture, ReportInputs
from headstart.report.pictures import Shot, shot

MOST = 12  # clusters that are shown
COLUMNS = {"ari": "ARI", "nmi": "NMI", "explained": "values' variance", "silhouette": "silhouette"}


@dataclass(frozen=True)
class Strip:
    """One cluster of the picture: its title, what is in it, and the rows nearest to its centre."""

    title: str
    said: str
    shots: list[Shot]


def columns(document: Clusters) -> list[tuple[str, str]]:
    """(figure, heading) of the table's columns that have something in them."""
    fits = [fit for vectors in (*document.sources, document.raw) for fit in (vectors.compared, vectors.chosen) if fit]
    return [(name, title) for name, title in COLUMNS.items() if any(getattr(fit, name) for fit in fits)]


def rows(document: Clusters) -> list[dict[str, Any]]:
    """One row for each way to see the rows and each number of clusters."""
    return [
        _row(document, vectors, fit)
        for vectors in (*document.sources, document.raw)
        for fit in dict.fromkeys((vectors.compared, vectors.chosen))
        if fit
    ]


def cluster_figure(document: Clusters) -> Drawing | None:
    """Rows on two components by cluster; None where there are no clusters."""
    shown = document.shown
    if shown is None:
        return None
    alt = (
        f"Map of {words.counted(len(shown.points), 'target row')} under the W of {shown.source}, by cluster, on two "
        f"principal components; {words.counted(len(shown.clusters), 'cluster')}."
    )
    names = [_name(number) for number in range(1, len(shown.clusters) + 1)]
    labels = [names[place] for place in shown.places]
    return draw_clouds("clusters", alt, np.array(shown.points), labels, names, shown.shares)


def strips(inputs: ReportInputs) -> list[Strip]:
    """The largest clusters, with their pictures as far as those were given."""
    shown = inputs.clusters.shown if inputs.clusters else None
    clusters = shown.clusters[:MOST] if shown else ()
    return [
        Strip(
            f"{_name(number)}: {words.counted(cluster.rows, 'row')}",
            _composition(cluster, inputs),
            _shots(cluster, number, inputs.cluster_images),
        )
        for number, cluster in enumerate(clusters, start=1)
    ]


def _name(number: int) -> str:
    """Such as "#3": a class may be called 3."""
    return f"#{number}"


def _row(document: Clusters, vectors: Vectors, fit: Fit) -> dict[str, Any]:
    why = [
        ("as classes" if document.kind == "class" else "for all", fit == vectors.compared),
        ("by silhouette", fit == vectors.chosen),
    ]
    return {
        "vectors": f"W of {vectors.source}" if vectors.source else "raw inputs",
        "k": fit.k,
        "why": ", ".join(said for said, holds in why if holds),
        "figures": [_figure(getattr(fit, name)) for name, _ in columns(document)],
        "dimensions": dimensions(vectors).removesuffix(" dimensions carry 90%"),
        "shown": document.shown is not None and vectors.source == document.shown.source and fit == vectors.headline,
    }


def _figure(figure: Figure | None) -> tuple[str, str]:
    """(value, interval) as the table has them."""
    if figure is None:
        return words.UNKNOWN, ""
    if figure.low is None or figure.high is None:
        return _number(figure.value), ""
    return _number(figure.value), f"{_number(figure.low)} to {_number(figure.high)}"


def _number(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", words.MINUS)


def _composition(cluster: Cluster, inputs: ReportInputs) -> str:
    """Such as "3 (97%), 9 (2%)", or the values' mean and s.d."""
    amounts, parts = inputs.amounts, inputs.measure.parts
    if cluster.each:
        own = [(name, amounts_of(part, "mae"), *each) for (name, part), each in zip(parts, cluster.each, strict=True)]
        return ", ".join(f"{name} {said.value(mean)} ± {said.width(sd)}" for name, said, mean, sd in own)
    if cluster.mean is not None and cluster.sd is not None:
        return f"{amounts.value(cluster.mean)} ± {amounts.width(cluster.sd)}"
    if not cluster.common:
        return "no labels"
    return ", ".join(f"{words.shorten(name, 24)} ({words.percent(share, 0)})" for name, share in cluster.common)


def _shots(cluster: Cluster, number: int, images: Mapping[str, Picture]) -> list[Shot]:
    there = [images[row] for row in cluster.examples if row in images]
    return [shot(picture, f"an image near the centre of cluster {_name(number)}") for picture in there]
