"""Overlap of labelled draws, and the factor that it costs."""

import numpy as np
import pytest

from headstart.evaluation.overlap import average_overlap, overlap_factor


def test_overlap_is_averaged_over_pairs():
    # pairs: 2 of 4 in common, 0, 1 of 4
    assert average_overlap([["abcd"], ["abef"], ["ghie"]]) == pytest.approx((0.5 + 0.0 + 0.25) / 3)


def test_overlap_of_draws_of_different_size_is_the_correlation_of_their_means():
    assert average_overlap([["abcd"], ["a"]]) == pytest.approx(0.5)
    means = np.random.default_rng(0).normal(size=(200_000, 4))
    assert np.corrcoef(means.mean(axis=1), means[:, 0])[0, 1] == pytest.approx(0.5, abs=0.01)


def test_two_rows_of_one_group_are_the_same_label():
    assert average_overlap([["aab"], ["aac"]]) == pytest.approx(4 / 5)


def test_in_cross_validation_it_is_the_correlation_of_the_means_over_folds():
    """Two folds a seed: A has a twice, b and c once; B has a and d once, b twice. 2 + 2 over sqrt(6 * 6)."""
    assert average_overlap([["ab", "ac"], ["ab", "bd"]]) == 0.5  # at most 1 - 1 / 2
    assert average_overlap([["ab", "ac", ""], ["ab", "bd", ""]]) == pytest.approx(4 / 6)
    values = np.random.default_rng(0).normal(size=(400_000, 4))
    own, other = values[:, :3] @ [2, 1, 1], values @ [1, 2, 0, 1]
    assert np.corrcoef(own, other)[0, 1] == pytest.approx(4 / 6, abs=0.01)


def test_all_labels_outside_of_each_fold_are_never_all_shared():
    """For then the factor would be 1, and the seeds' labels no matter at all."""
    seeds = [["cdef", "abef", "abcd"], ["bdef", "acef", "abcd"]]
    assert average_overlap(seeds) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("draws", "expected"),
    [([["ab"]], None), ([], None), ([["a"], ["a"], ["a"]], 1.0), ([["a"], ["b"]], 0.0), ([[""], [""]], 0.0)],
)
def test_ends_of_the_scale(draws, expected):
    assert average_overlap(draws) == expected


def test_factor_is_nadeau_and_bengios():
    # theirs, (1 / J + n_test / n_train) * J, with n_test / (n_test + n_train) the correlation
    n_test, n_train, seeds = 1, 3, 10
    assert overlap_factor(n_test / (n_test + n_train), seeds=seeds) == pytest.approx(1 + seeds * n_test / n_train)


def test_factor_is_one_without_overlap_and_where_all_labels_are_shared():
    assert overlap_factor(0.0, seeds=5) == 1.0
    assert overlap_factor(1.0, seeds=5) == 1.0


def test_factor_makes_the_variance_of_a_mean_of_correlated_draws_right():
    rng = np.random.default_rng(1)
    seeds, rho = 5, 0.25
    shared, own = rng.normal(size=(40_000, 1)), rng.normal(size=(40_000, seeds))
    draws = np.sqrt(rho) * shared + np.sqrt(1 - rho) * own
    claimed = draws.var(axis=1, ddof=1).mean() / seeds * overlap_factor(rho, seeds=seeds)
    assert claimed == pytest.approx(draws.mean(axis=1).var(), rel=0.03)
