"""Metrics of one training, against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as reference

from headstart.evaluation.metrics import accuracy, log_loss, macro_f1, seen_and_unseen


@pytest.fixture
def predicted():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, size=60)
    probabilities = rng.dirichlet(np.ones(5), size=60)  # class 4 never occurs in truth
    return truth, probabilities.argmax(axis=1), probabilities


def test_metrics_are_scikit_learns(predicted):
    truth, prediction, probabilities = predicted
    assert accuracy(truth, prediction) == pytest.approx(reference.accuracy_score(truth, prediction))
    assert macro_f1(truth, prediction) == pytest.approx(reference.f1_score(truth, prediction, average="macro"))
    assert log_loss(truth, probabilities) == pytest.approx(
        reference.log_loss(truth, probabilities, labels=list(range(5)))
    )


def test_a_class_that_is_never_right_counts_nought():
    assert macro_f1(np.array([0, 0, 1]), np.array([0, 0, 2])) == pytest.approx(1 / 3)


def test_a_true_class_of_probability_nought_stays_finite():
    assert log_loss(np.array([0]), np.array([[0.0, 1.0]])) == pytest.approx(-np.log(1e-15))


def test_seen_and_unseen_classes_are_means_over_classes_and_their_harmonic_mean():
    truth, prediction = np.array([0, 0, 0, 0, 1, 2, 2, 3]), np.array([0, 0, 0, 1, 1, 2, 0, 3])
    found = seen_and_unseen(truth, prediction, {2})
    per_class = reference.recall_score(truth, prediction, average=None)
    assert found["seen"] == pytest.approx(per_class[[0, 1, 3]].mean())
    assert found["unseen"] == pytest.approx(0.5)
    assert found["harmonic_mean"] == pytest.approx(2 / (1 / found["seen"] + 1 / 0.5))


def test_what_has_no_row_has_no_score_and_nothing_right_is_nought():
    assert np.isnan(seen_and_unseen(np.array([0, 1]), np.array([0, 1]), {2})["unseen"])
    assert seen_and_unseen(np.array([0, 1]), np.array([1, 0]), {1})["harmonic_mean"] == 0
