"""The map: the number beside it is right, and the same rows give the same map."""

import numpy as np
import pytest

from headstart.report.maps import make_map, neighbour_accuracy

RNG = np.random.default_rng(0)
APART = np.concatenate([RNG.normal(0, 0.1, (30, 6)) + np.eye(6)[0] * 9, RNG.normal(0, 0.1, (30, 6)) + np.eye(6)[1] * 9])
NAMES = ["a"] * 30 + ["b"] * 30


def test_separate_classes_have_perfect_neighbours() -> None:
    found = make_map(APART, NAMES)
    assert found is not None
    assert found.accuracy == 1.0
    assert found.points.shape == (60, 2)
    assert found.shares[0] > 0.9  # one direction tells the two apart


def test_a_row_is_not_its_own_neighbour() -> None:
    lonely = np.eye(4)[:3] + 0.01  # each class has one row: every neighbour is of another class
    assert neighbour_accuracy(lonely, ["a", "b", "c"]) == 0.0


def test_labels_without_meaning_score_chance() -> None:
    vectors = RNG.normal(0, 1, (400, 5))
    assert 0.4 < neighbour_accuracy(vectors, list(RNG.choice(["a", "b"], 400))) < 0.6


def test_the_same_rows_give_the_same_map() -> None:
    first, second = make_map(APART, NAMES), make_map(APART, NAMES)
    assert first is not None
    assert second is not None
    assert first.points.tobytes() == second.points.tobytes()


def test_many_rows_are_thinned_evenly() -> None:
    many = RNG.normal(0, 1, (5000, 3))
    found = make_map(many, [str(place) for place in range(5000)])
    assert found is not None
    assert len(found.points) == 800
    assert (found.labels[0], found.labels[-1]) == ("0", "4999")


@pytest.mark.parametrize("shape", [(0, 0), (2, 5)])
def test_too_few_rows_make_no_map(shape: tuple[int, int]) -> None:
    assert make_map(np.zeros(shape), ["a"] * shape[0]) is None


@pytest.mark.parametrize("vectors", [np.ones((5, 3)), np.arange(5.0).reshape(5, 1), np.zeros((5, 3))])
def test_vectors_without_a_plane_are_still_a_map(vectors: np.ndarray) -> None:
    found = make_map(vectors, ["a", "a", "b", "b", "b"])
    assert found is not None
    assert np.isfinite(found.points).all()
