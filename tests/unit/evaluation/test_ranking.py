"""Ranking of sources: LogME against an independent computation of the evidence, and the interval of a mean of draws."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from headstart.evaluation.ranking import Estimate, logme, mean_of_draws, read_ranking
from headstart.objectives.kinds import CLASS, VALUE


def largest_evidence(features: np.ndarray, y: np.ndarray) -> float:
    """By definition: y is normal with covariance I / beta + X X' / alpha; the largest density over alpha and beta."""
    gram = features @ features.T

    def minus(logs: np.ndarray) -> float:
        alpha, beta = np.exp(np.clip(logs, -20, 20))
        covariance = np.eye(len(y)) / beta + gram / alpha
        return -multivariate_normal(np.zeros(len(y)), covariance, allow_singular=True).logpdf(y)

    found = [minimize(minus, start, method="Nelder-Mead") for start in ([0.0, 0.0], [2.0, -1.0], [-2.0, 2.0])]
    return -min(result.fun for result in found) / len(y)


@settings(max_examples=12, deadline=None)
@given(rows=st.integers(12, 30), width=st.integers(2, 40), noise=st.floats(0.3, 2.0), seed=st.integers(0, 100))
def test_logme_is_the_largest_evidence(rows, width, noise, seed):
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(rows, width))
    y = features @ draw.normal(size=width) / width**0.5 + noise * draw.normal(size=rows)
    found, wanted = logme(features, y[:, None]), largest_evidence(features, y)
    assert found <= wanted + 1e-6
    assert found > wanted - 0.001


def test_of_several_maxima_it_is_the_largest():
    """From a single start the iteration ended 0.06 below, at another one."""
    draw = np.random.default_rng(70)
    features = draw.normal(size=(13, 24))
    y = features @ draw.normal(size=24) / 24**0.5 + 1.5 * draw.normal(size=13)
    assert logme(features, y[:, None]) == pytest.approx(largest_evidence(features, y), abs=1e-4)


def test_features_that_tell_the_classes_apart_have_more_evidence():
    draw = np.random.default_rng(0)
    labels = np.arange(90) % 3
    good = draw.normal(size=(90, 10)) + 3 * np.eye(3, 10)[labels]
    targets = np.eye(3)[labels]
    assert logme(good, targets) > logme(draw.normal(size=(90, 10)), targets) + 0.3


def test_of_several_targets_it_is_the_mean():
    draw = np.random.default_rng(1)
    features, targets = draw.normal(size=(40, 6)), draw.normal(size=(40, 3))
    each = [logme(features, targets[:, [column]]) for column in range(3)]
    assert logme(features, targets) == pytest.approx(np.mean(each))


def test_features_without_any_variation_are_no_error():
    assert np.isfinite(logme(np.zeros((20, 4)), np.random.default_rng(0).normal(size=(20, 1))))


def test_the_interval_of_draws_that_agree_is_that_of_their_rows():
    draws = [np.array([0.0, 1.0] * 10)] * 4
    found = mean_of_draws(draws, confidence=0.95)
    assert found.value == 0.5
    assert found.high - 0.5 == pytest.approx(1.99 * 0.5 / 80**0.5, rel=0.05)


def test_draws_that_differ_widen_it():
    draws = [np.full(20, level) for level in (0.2, 0.4, 0.6, 0.8)]
    found = mean_of_draws(draws, confidence=0.95)
    assert found.value == pytest.approx(0.5)
    assert found.high - 0.5 == pytest.approx(3.182 * np.std([0.2, 0.4, 0.6, 0.8], ddof=1) / 2, rel=1e-3)


@pytest.mark.parametrize("sd", [0.0, 0.1])
def test_it_covers_the_truth_as_often_as_it_says(sd):
    draw = np.random.default_rng(5)
    hits = 0
    for _ in range(400):
        levels = np.clip(0.7 + sd * draw.normal(size=5), 0, 1)
        found = mean_of_draws([(draw.uniform(size=80) < level).astype(float) for level in levels], confidence=0.95)
        hits += found.low <= 0.7 <= found.high
    assert 0.91 <= hits / 400 <= 0.995


def table(sign: int = 1) -> pd.DataFrame:
    """Letters before blobs; LogME and size have no interval. sign: -1 turns scores into those of errors."""
    scores = {"letters": (0.9, 0.85, 0.95, 0.0, 0.0, 0.0), "blobs": (0.7, 0.6, 0.8, -0.2, -0.3, -0.1)}
    if sign < 0:
        scores = {"letters": (-4.0, -5.0, -3.0, 0.0, 0.0, 0.0), "blobs": (-6.0, -8.0, -4.0, -2.0, -5.0, 1.0)}
    rows = [(name, "ridge", *own, place) for place, (name, own) in enumerate(scores.items(), start=1)]
    rows += [(name, "knn", 0.5 * sign, 0.4 * sign, 0.6 * sign, 0.0, 0.0, 0.0, 1) for name in scores]
    rows += [(name, "logme", -0.3, *[None] * 5, 1) for name in scores]
    rows += [("letters", "size", 500.0, *[None] * 5, 2), ("blobs", "size", 900.0, *[None] * 5, 1)]
    names = ["source", "method", "value", "low", "high", "behind", "behind_low", "behind_high", "place"]
    return pd.DataFrame(rows, columns=names)


def tuned(metric: str, **values: float) -> pd.DataFrame:
    rows = [(f"{way}@{name}", 10, "test", metric, value) for name, value in values.items() for way in ("full", "lp_ft")]
    rows += [("full@letters", 10, "prediction", "rows_per_second", 9.0)]
    return pd.DataFrame(rows, columns=["strategy", "label_budget", "split", "metric", "value"])


def test_a_ranking_has_each_source_in_its_place_with_what_fine_tuning_came_to():
    found = read_ranking(table(), tuned("accuracy", letters=0.95, blobs=0.8), kind=CLASS, label_budget=10)
    first, second = found.sources
    assert (first.source, first.behind, first.ridge) == ("letters", None, Estimate(0.9, 0.85, 0.95))
    assert (second.source, second.behind) == ("blobs", Estimate(0.2, 0.1, 0.3))
    assert (first.knn, first.logme, first.rows, second.rows) == (0.5, -0.3, 500, 900)
    assert (first.fine_tuned, second.fine_tuned, found.known) == (pytest.approx(0.95), pytest.approx(0.8), 2)
    assert found.taus == {}, "chance orders two as often as not"


def test_three_sources_have_taus():
    more = table()
    third = more[more["source"] == "blobs"].assign(source="noise", value=lambda own: own["value"] / 2)
    whole = pd.concat([more, third], ignore_index=True)
    found = read_ranking(whole, tuned("accuracy", letters=0.95, blobs=0.8, noise=0.5), kind=CLASS, label_budget=10)
    assert found.taus["ridge"] == 1.0
    assert found.taus["size"] == pytest.approx(1 / 3)


def test_errors_are_said_as_errors_and_the_smaller_is_the_better():
    found = read_ranking(table(-1), tuned("mae", letters=3.0, blobs=2.0), kind=VALUE, label_budget=10)
    first, second = found.sources
    assert (first.source, first.ridge) == ("letters", Estimate(4.0, 3.0, 5.0))
    assert second.behind == Estimate(2.0, -1.0, 5.0)  # further off by so much
    assert (first.knn, second.fine_tuned) == (0.5, pytest.approx(2.0))


def test_without_a_run_or_with_one_source_nothing_is_known_of_fine_tuning():
    for comparison in (None, tuned("accuracy")):
        found = read_ranking(table(), comparison, kind=CLASS, label_budget=10)
        assert (found.known, found.taus, found.sources[0].fine_tuned) == (0, {}, None)
