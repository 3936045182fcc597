"""`headstart explore` in a project that is up to date, and what its step leaves behind."""

import json

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def document(warm):
    return json.loads((warm.root / "reports" / "clusters.json").read_text())


def test_the_command_answers_at_once_and_trains_nothing(warm, document):
    before = warm.cells()
    done = warm.headstart("explore")
    first, features, raw = done.stdout.splitlines()
    assert first.startswith("do the source's features already separate the target? ")
    assert "at 3 clusters the features under shapes's W have an ARI of" in first
    assert features.startswith("features under shapes: ")
    assert "144 dimensions carry 90%; 3 clusters: ARI" in raw
    assert warm.cells() == before
    assert json.loads(warm.headstart("explore", "--json").stdout) == document


def test_no_test_row_is_in_it(warm, document):
    examples = pd.read_parquet(warm.root / "packs" / "sketches" / "examples.parquet")
    test = set(examples[examples["split"] == "test"]["id"])
    shown = [row for cluster in document["shown"]["clusters"] for row in cluster["examples"]]
    assert len(test) > 20
    assert shown
    assert not set(shown) & test
    assert document["rows"] == document["of"] == document["labelled"] == len(examples) - len(test)
    assert sum(cluster["rows"] for cluster in document["shown"]["clusters"]) == document["rows"]


def test_its_page_has_the_clusters_the_ranking_and_how_fast_models_predict(warm):
    page = (warm.root / "reports" / "report.html").read_text()
    for said in ("already separate the target?", "Which source knows the target best?", "predicted rows a second"):
        assert said in page
    comparison = pd.read_csv(warm.root / "reports" / "comparison.csv")
    speed = comparison[comparison["split"] == "prediction"]
    assert len(speed) == 3 * 6
    assert set(speed["strategy"]) == set(comparison["strategy"]) - {"scratch:half_steps", "scratch:equal_compute"}
    assert (speed["value"] > 0).all()
    pivot = speed.pivot(index="strategy", columns="metric", values="value")
    assert (pivot["latency_ms_p50"] <= pivot["latency_ms_p99"]).all()
    assert (pivot["rows_per_second"] > 1000 / pivot["latency_ms_p50"]).all()
