"""Sources ranked by what their vectors tell of the target's labels, without a look at a test row."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from headstart.cells.grid import headline_jobs
from headstart.cells.rank import folds_of, knn_scores, left_out, rank_sources, ridge_scores
from headstart.datasets.pack import Pack, test_directory
from headstart.evaluation.ranking import agreement, fine_tuned
from headstart.objectives.classification import Classification
from headstart.storage.publish import publishing

test_directory.__test__ = False  # it only sounds like one


@pytest.fixture(scope="module")
def jobs(domain, tmp_path_factory):
    """The probe's cells on W's vectors, and on noise in their place."""
    root = tmp_path_factory.mktemp("noise")
    draw = np.random.default_rng(0)
    for name, origin in (("target", domain.places.features), ("source", domain.places.source_features)):
        with publishing(root / name) as draft:
            like = np.load(Path(origin) / "pooled.npy")
            np.save(draft / "pooled.npy", draw.normal(size=like.shape).astype(np.float32))
    own = headline_jobs(domain.settings, "linear_probe", domain.places, {"target": domain.target})
    noise = [replace(job, features=str(root / "target"), source_features=str(root / "source")) for job in own]
    return {"noise": noise, "shapes": own}


@pytest.fixture(scope="module")
def ranking(jobs):
    return rank_sources(jobs, {"noise": 7, "shapes": 120}, smallest=1e-4, largest=1e4, confidence=0.95)


def test_vectors_that_know_the_target_come_first(ranking):
    for method in ("ridge", "knn", "logme", "size"):
        own = ranking[ranking["method"] == method].set_index("source")
        assert own["place"].to_dict() == {"shapes": 1, "noise": 2}
        assert own.loc["shapes", "value"] > own.loc["noise", "value"]
    assert list(ranking[ranking["method"] == "ridge"]["source"]) == ["shapes", "noise"]
    ridge = ranking[ranking["method"] == "ridge"].set_index("source")
    assert ridge.loc["noise", "value"] < 0.7  # a third is chance, of 24 rows
    assert ridge.loc["noise", "behind"] == pytest.approx(ridge.loc["noise", "value"] - ridge.loc["shapes", "value"])
    assert ridge.loc["shapes", "behind"] == ridge.loc["shapes", "behind_high"] == 0
    assert (ridge["low"] <= ridge["value"]).all()
    assert (ridge["value"] <= ridge["high"]).all()


@pytest.mark.parametrize(("classes", "labels"), [(10, 10), (4, 5), (3, 7)])
@pytest.mark.parametrize("method", ["ridge", "knn"])
def test_vectors_that_know_nothing_come_out_at_chance(classes, labels, method):
    """Not below: leave-one-out of balanced classes gives 0.5% where chance is 10%."""
    draw = torch.Generator().manual_seed(0)
    names = tuple(str(number) for number in range(classes))
    targets = torch.arange(classes).repeat(labels)
    parts = folds_of([names[label] for label in targets])
    scores = {
        "ridge": partial(ridge_scores, smallest=1e-4, largest=1e4),
        "knn": partial(knn_scores, centre=torch.zeros(96, dtype=torch.float64)),
    }[method]
    right = [
        left_out(
            torch.randn(len(targets), 96, generator=draw, dtype=torch.float64),
            targets,
            parts,
            objective=Classification(names),
            scores=scores,
        ).mean()
        for _ in range(150)
    ]
    assert np.mean(right) == pytest.approx(1 / classes, abs=4 * np.std(right) / len(right) ** 0.5)


def test_each_part_leaves_out_as_many_of_each_class():
    parts = folds_of(["a"] * 10 + ["b"] * 10)
    assert sorted(np.bincount(parts)) == [4] * 5
    assert all((parts[:10] == part).sum() == 2 for part in range(5))
    assert sorted(np.bincount(folds_of(["a"] * 3 + ["b"] * 9))) == [4, 4, 4]
    assert set(folds_of([""] * 20)) == set(range(5))
    assert set(folds_of(["a", "b", "b"])) == {0, 1}


def test_no_interval_goes_where_no_score_can_be(ranking):
    own = ranking[ranking["method"].isin(["ridge", "knn"])]
    assert own["low"].ge(0).all()
    assert own["high"].le(1).all()
    assert own["behind_low"].ge(-1).all()


def test_no_test_row_and_no_label_outside_the_budget_is_looked_at(domain, jobs, ranking, tmp_path, monkeypatch):
    """The test labels are not there, and vectors of test rows may be anything."""
    pack = Pack(domain.places.pack)
    spoiled = np.load(Path(domain.places.features) / "pooled.npy").copy()
    spoiled[pack.rows("test")] = 1e6
    with publishing(tmp_path / "features") as draft:
        np.save(draft / "pooled.npy", spoiled)
    again = {
        "noise": jobs["noise"],
        "shapes": [replace(j, features=str(tmp_path / "features")) for j in jobs["shapes"]],
    }
    found = rank_sources(again, {"noise": 7, "shapes": 120}, smallest=1e-4, largest=1e4, confidence=0.95)
    pd.testing.assert_frame_equal(found, ranking)


def comparison(**scores: float) -> pd.DataFrame:
    rows = [(name.replace("_at_", "@"), 10, "test", "accuracy", value) for name, value in scores.items()]
    rows += [(rows[0][0], 10, "train", "accuracy", 1.0), (rows[0][0], 5, "test", "accuracy", 0.0)]
    return pd.DataFrame(rows, columns=["strategy", "label_budget", "split", "metric", "value"])


def test_the_measured_truth_is_the_mean_over_the_ways_to_transfer_at_the_headline():
    table = comparison(full_at_a=0.9, lp_ft_at_a=0.7, full_at_b=0.6, lp_ft_at_b=0.6, source_at_b=1.0, scratch=0.5)
    found = fine_tuned(table, metric="accuracy", label_budget=10, ways=("full", "lp_ft"))
    assert found == {"a": pytest.approx(0.8), "b": pytest.approx(0.6)}
    more = comparison(full_at_a=0.9, lp_ft_at_a=0.1, full_at_b=0.6)
    found = fine_tuned(more, metric="accuracy", label_budget=10, ways=("full", "lp_ft"))
    assert found == {"a": 0.9, "b": 0.6}, "by the way that both have"
    assert fine_tuned(comparison(full=0.9), metric="accuracy", label_budget=10, ways=("full",)) == {}


def test_kendalls_tau_of_each_methods_order():
    table = pd.DataFrame(
        {"source": list("abcabc"), "method": ["ridge"] * 3 + ["size"] * 3, "value": [1.0, 2.0, 3.0, 3.0, 2.0, 1.0]}
    )
    assert agreement(table, {"a": 0.1, "b": 0.2, "c": 0.3}) == {"ridge": 1.0, "size": -1.0}
    assert agreement(table, {"a": 0.1, "b": 0.2}) == {}, "chance orders two as often as not"
    assert agreement(table, {"a": 0.1, "b": 0.1, "c": 0.1}) == {}, "all came to the same"
