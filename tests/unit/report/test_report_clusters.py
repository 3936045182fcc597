"""The section on clusters: its answer, its table, and what each cluster looks like."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from headstart.evaluation.clusters import Cluster, Clusters, Figure, Fit, Vectors
from headstart.evaluation.measures import Error
from headstart.report import clusters, words
from headstart.report.inputs import ReportInputs
from headstart.report.page import render


@pytest.fixture(scope="module")
def section(inputs: ReportInputs, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Its part of the page's source."""
    page = render(inputs, tmp_path_factory.mktemp("clusters")).read_text()
    return page[page.index('<section aria-labelledby="clusters">') : page.index('<section aria-labelledby="map">')]


def test_it_answers_in_words_with_true_minus_signs(section: str) -> None:
    assert (
        "<p>At 2 clusters the features under mnist5k&#39;s W have an ARI of 0.89 (0.84 to 0.94), more than" in section
    )
    assert "the raw inputs: 0.61, a difference of +0.28 (+0.23 to +0.33).</p>" in section
    assert words.sentence("a (-0.10..+0.20) b-c") == "A (−0.10 to +0.20) b-c."


def test_the_table_has_features_and_raw_inputs_with_intervals_and_dimensions(inputs: ReportInputs) -> None:
    assert inputs.clusters is not None
    rows = clusters.rows(inputs.clusters)
    assert [(row["vectors"], row["k"], row["why"], row["dimensions"], row["shown"]) for row in rows] == [
        ("W of mnist5k", 2, "as classes, by silhouette", "8 of 96", True),
        ("raw inputs", 2, "as classes", "more than 128 of 784", False),
        ("raw inputs", 14, "by silhouette", "more than 128 of 784", False),
    ]
    assert [title for _, title in clusters.columns(inputs.clusters)] == ["ARI", "NMI", "silhouette"]
    assert rows[0]["figures"][0] == ("0.89", "0.84 to 0.94")


def test_it_says_which_rows_and_what_the_intervals_are_of(section: str) -> None:
    assert "100 target rows, drawn from 4,000, none of them a test row; 90 labelled" in section
    assert "Intervals (95%) are over 20 refits on random halves of the rows" in section


def test_each_cluster_has_its_pictures_and_what_is_in_it(inputs: ReportInputs, section: str) -> None:
    first, second = clusters.strips(inputs)
    assert (first.title, first.said, len(first.shots)) == ("#1: 60 rows", "0 (90%)", 2)
    assert (second.title, second.said) == ("#2: 40 rows", "9 (90%)")
    assert section.count('<img src="data:image/png') == 4
    assert section.count('alt="an image near the centre of cluster #2"') == 2


def changed(document: Clusters, **fields: object) -> Clusters:
    return document.model_copy(update=fields)


def test_more_than_a_dozen_clusters_are_cut_short_and_said(inputs: ReportInputs, tmp_path: Path) -> None:
    document = inputs.clusters
    assert document is not None
    assert document.shown is not None
    shown = document.shown.model_copy(update={"clusters": document.shown.clusters * 10})
    page = render(dataclasses.replace(inputs, clusters=changed(document, shown=shown)), tmp_path).read_text()
    assert "The 12 largest of 20 clusters." in page
    assert page.count("<li><b>") == 12


def test_too_few_rows_are_a_sentence(inputs: ReportInputs, tmp_path: Path) -> None:
    none = {"chosen": None, "compared": None}
    bare = changed(
        inputs.clusters,  # type: ignore[arg-type]
        rows=5,
        shown=None,
        sources=(Vectors(source="mnist5k", columns=96, components=0, carried=0, **none),),
        raw=Vectors(source="", columns=784, components=0, carried=0, **none),
    )
    page = render(dataclasses.replace(inputs, clusters=bare), tmp_path).read_text()
    assert "already separate the target? Not to be told" in page
    assert "<p>5 rows are too few to find clusters in.</p>" in page
    assert "There are no clusters to show." in page
    assert "clusters.svg" not in {path.name for path in (tmp_path / "figures").iterdir()}


def test_without_exploring_there_is_no_section(inputs: ReportInputs, tmp_path: Path) -> None:
    page = render(dataclasses.replace(inputs, clusters=None), tmp_path).read_text()
    assert 'id="clusters"' not in page
    assert '"#clusters"' not in page


def test_of_values_a_cluster_has_a_mean_in_their_unit(make_inputs: Callable[..., ReportInputs]) -> None:
    given = make_inputs(rows=40, seeds=1)
    assert given.clusters is not None
    assert given.clusters.shown is not None
    cluster = Cluster(rows=9, labelled=9, common=(), mean=-12.34, sd=3.21, examples=())
    shown = given.clusters.shown.model_copy(update={"clusters": (cluster,)})
    inputs = dataclasses.replace(
        given, clusters=changed(given.clusters, shown=shown), measure=Error("degrees", 30.0), classes=[]
    )
    (strip,) = clusters.strips(inputs)
    assert strip.said == "−12.3 degrees ± 3.2 degrees"


def test_rows_without_a_label_are_said_to_have_none(inputs: ReportInputs) -> None:
    assert inputs.clusters is not None
    assert inputs.clusters.shown is not None
    cluster = Cluster(rows=9, labelled=0, common=(), mean=None, sd=None, examples=("gone",))
    shown = inputs.clusters.shown.model_copy(update={"clusters": (cluster,)})
    (strip,) = clusters.strips(dataclasses.replace(inputs, clusters=changed(inputs.clusters, shown=shown)))
    assert (strip.said, strip.shots) == ("no labels", [])


def test_a_figure_without_an_interval_is_a_number(inputs: ReportInputs) -> None:
    assert inputs.clusters is not None
    alone = Figure(value=-0.004, low=None, high=None)
    fit = Fit(k=2, silhouette=alone, nmi=None, ari=alone, explained=None)
    raw = inputs.clusters.raw.model_copy(update={"compared": fit, "chosen": None})
    rows = clusters.rows(changed(inputs.clusters, raw=raw))
    assert rows[-1]["figures"] == [("0.00", ""), ("–", ""), ("0.00", "")]
    assert np.isfinite(float(rows[0]["figures"][1][0]))
