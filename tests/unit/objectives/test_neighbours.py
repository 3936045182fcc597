"""Nearest neighbours: weights by nearness, and rows that are not their own neighbours."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsRegressor

from headstart.datasets.values import Value
from headstart.objectives.classification import Classification
from headstart.objectives.neighbours import TEMPERATURE, votes
from headstart.objectives.regression import Regression


def unit_vectors(rows: int, seed: int) -> torch.Tensor:
    drawn = np.random.default_rng(seed).normal(size=(rows, 4))
    return torch.from_numpy(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(2, 30), count=st.integers(1, 40), seed=st.integers(0, 1000))
def test_they_are_scikit_learns_with_these_weights(rows, count, seed):
    bank, queries = unit_vectors(rows, seed), unit_vectors(7, seed + 1)
    targets = torch.from_numpy(np.random.default_rng(seed).normal(size=(rows, 2)))
    theirs = KNeighborsRegressor(
        min(count, rows), metric="cosine", weights=lambda distance: np.exp((1 - distance) / TEMPERATURE)
    ).fit(bank.numpy(), targets.numpy())
    assert np.allclose(votes(queries, bank, targets, count=count).numpy(), theirs.predict(queries.numpy()))


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(2, 12), count=st.integers(1, 15), seed=st.integers(0, 1000))
def test_leave_one_out_is_each_row_against_the_others(rows, count, seed):
    bank = unit_vectors(rows, seed)
    targets = torch.eye(rows, dtype=torch.float64)
    found = votes(bank, bank, targets, count=count, own=True)
    for row in range(rows):
        others = [other for other in range(rows) if other != row]
        alone = votes(bank[row : row + 1], bank[others], targets[others], count=count)
        assert torch.allclose(found[row], alone[0])


def test_votes_are_shares_of_classes_and_means_of_values():
    classes = Classification(("a", "b"))
    assert classes.vote_targets(torch.tensor([1, 0])).tolist() == [[0, 1], [1, 0]]
    shares = classes.predict(classes.from_votes(torch.tensor([[1.0, 0.0], [0.5, 0.5]])))
    assert shares[0].tolist() == pytest.approx([1.01 / 1.02, 0.01 / 1.02])
    assert shares[1].tolist() == pytest.approx([0.5, 0.5])
    values = Regression((Value("angle", "degrees"),)).fitted(torch.tensor([[10.0], [20.0]]))
    mean = values.predict(values.from_votes(values.vote_targets(torch.tensor([[10.0], [20.0]])).mean(0, keepdim=True)))
    assert mean.tolist() == [[15.0]]
