"""How far the source lies: 0.5 of one distribution, 1 of two that never meet, with an interval that covers."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from headstart.evaluation.held_out import held_out_probabilities
from headstart.evaluation.shift import MOST_ROWS, draw_rows, told_apart


def rows(count, *, away=0.0, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 6)) + away


def test_the_value_is_scikit_learns_area():
    ours, theirs = rows(120), rows(90, away=0.4, seed=1)
    auc, low, high = told_apart(ours, theirs, seed=0, confidence=0.95)
    given = np.repeat([0, 1], [120, 90])
    scores = held_out_probabilities(np.concatenate([ours, theirs]), given, seed=0)[:, 1]
    assert auc == pytest.approx(roc_auc_score(given, scores), abs=1e-12)
    assert low < auc < high


def test_two_that_never_meet_are_always_told_apart():
    assert told_apart(rows(60), rows(60, away=20, seed=1), seed=0, confidence=0.95) == (1.0, 1.0, 1.0)


def test_of_one_distribution_half_lies_in_the_interval_about_as_often_as_it_says():
    """Held-out scores of a fit without signal are a little pessimistic: their area is below a half more often."""
    found = [told_apart(rows(80, seed=2 * n), rows(80, seed=2 * n + 1), seed=0, confidence=0.95) for n in range(60)]
    assert np.mean([low <= 0.5 <= high for _, low, high in found]) >= 0.8
    assert np.mean([auc for auc, _, _ in found]) == pytest.approx(0.5, abs=0.06)


def test_rows_are_all_of_few_and_the_same_draw_of_many():
    assert list(draw_rows(5, seed=0)) == [0, 1, 2, 3, 4]
    drawn = draw_rows(5 * MOST_ROWS, seed=0)
    assert len(set(drawn)) == MOST_ROWS
    assert list(drawn) == sorted(drawn) == list(draw_rows(5 * MOST_ROWS, seed=0))
