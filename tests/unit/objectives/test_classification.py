"""Classification's parts against torch, scikit-learn and scipy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import accuracy_score, log_loss
from sklearn.neighbors import NearestCentroid
from torch.nn.functional import one_hot

from headstart.objectives import classification
from headstart.objectives.classification import TEMPERATURES, Classification, loss

RNG = np.random.default_rng(0)
LABELS = torch.from_numpy(np.arange(30) % 3)
SCORES = torch.from_numpy(RNG.normal(size=(30, 3)) + 1.5 * np.eye(3)[LABELS.numpy()])


def test_the_loss_is_scikit_learns_log_loss():
    assert classification.loss(SCORES, LABELS).item() == pytest.approx(
        log_loss(LABELS, softmax(SCORES.numpy(), axis=1))
    )


def test_probabilities_are_the_softmax():
    assert classification.probabilities(SCORES).numpy() == pytest.approx(softmax(SCORES.numpy(), axis=1))
    assert classification.probabilities(torch.tensor([[1000.0, 0.0]])).tolist() == [[1.0, 0.0]]


def test_accuracy_is_the_share_of_rows_that_are_right():
    probability = torch.tensor([[0.6, 0.4], [0.1, 0.9], [0.7, 0.3], [0.2, 0.8]])
    assert classification.accuracy(probability, torch.tensor([0, 1, 1, 0])) == 0.5
    assert classification.accuracy(SCORES, LABELS) == accuracy_score(LABELS, SCORES.argmax(1))


def test_ridge_targets_are_one_against_the_others():
    found = classification.ridge_targets(torch.tensor([2, 0]), 3)
    assert found.tolist() == [[-1, -1, 1], [1, -1, -1]]
    assert found.dtype == torch.float64


def test_class_means_are_scikit_learns_centroids():
    features = torch.from_numpy(RNG.normal(size=(30, 5)))
    expected = NearestCentroid().fit(features.numpy(), LABELS.numpy()).centroids_
    assert classification.class_means(features, LABELS, 3).numpy() == pytest.approx(expected)


def test_class_means_by_hand():
    features = torch.tensor([[0.0, 1.0], [2.0, 3.0], [5.0, 5.0]])
    assert classification.class_means(features, torch.tensor([1, 1, 0]), 2).tolist() == [[5.0, 5.0], [1.0, 2.0]]


@pytest.mark.parametrize("factor", [0.05, 0.3, 1.0, 2.5])
def test_the_temperature_is_the_grids_nearest_to_scipys(factor):
    """The loss is convex in 1 / temperature, so the best of a grid lies beside the best of all."""
    scores = SCORES * factor
    right = np.full((30, 3), 1 / 32 / 2)  # Platt's targets: the next of 30 rows is wrong with probability 1/32
    right[np.arange(30), LABELS.numpy()] = 31 / 32

    def loss(log_temperature: float) -> float:
        return -(right * log_softmax(scores.numpy() / 2**log_temperature, axis=1)).sum(1).mean()

    exact = minimize_scalar(loss, bounds=(-10, 8), method="bounded", options={"xatol": 1e-6}).x
    found = np.log2(classification.calibrate(scores, LABELS))
    assert -6 < exact < 3
    assert abs(found - exact) < 1 / 4
    assert loss(found) <= min(loss(np.floor(exact * 4) / 4), loss(np.ceil(exact * 4) / 4)) + 1e-12


def test_the_temperature_stays_within_its_bounds():
    sure = torch.tensor([[50.0, 0.0], [0.0, 50.0]])
    assert TEMPERATURES[0] == 1 / 64
    assert TEMPERATURES[-1] == 8.0
    assert classification.calibrate(sure, torch.tensor([1, 0])) == 8.0  # sure and wrong
    assert classification.calibrate(sure / 50_000, torch.tensor([0, 1])) == 1 / 64  # right and very hesitant


@pytest.mark.parametrize(("rows", "next_is_right"), [(2, 3 / 4), (18, 19 / 20), (98, 99 / 100)])
def test_rows_that_are_all_right_do_not_ask_for_certainty(rows, next_is_right):
    """Of n rows without an error the next is right with probability (n + 1) / (n + 2), Laplace's rule."""
    labels = torch.arange(rows) % 2
    scores = torch.nn.functional.one_hot(labels, 2).double()
    found = classification.calibrate(scores, labels)
    assert TEMPERATURES[0] < found < TEMPERATURES[-1]
    sure = float(torch.softmax(scores / found, 1).max())
    ratio = np.log(sure / (1 - sure)) / np.log(next_is_right / (1 - next_is_right))
    assert 2**-0.25 < ratio < 2**0.25  # as near as the grid has it


@given(st.integers(0, 2**31), st.floats(0, 0.9))
def test_a_smoothed_label_is_that_much_of_each_class(seed, share):
    draw = torch.Generator().manual_seed(seed)
    scores, labels = torch.randn(7, 4, generator=draw), torch.randint(4, (7,), generator=draw)
    wanted = (1 - share) * one_hot(labels, 4).double() + share / 4
    by_hand = -(wanted * scores.double().log_softmax(1)).sum(1).mean()
    found = Classification(tuple("abcd")).smoothed(share).loss(scores, labels)
    assert float(found) == pytest.approx(float(by_hand), abs=1e-5)


def test_what_is_not_smoothed_is_scikit_learns_loss_still():
    scores, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    assert torch.equal(Classification(tuple("abc")).smoothed(0).loss(scores, labels), loss(scores, labels))
