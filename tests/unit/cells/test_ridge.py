"""The closed-form head: exact leave-one-out error, against brute force and against scikit-learn; what is handed on."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge, RidgeCV

from headstart.cells.ridge import PENALTIES, ridge, ridge_flops, solve_head, weighted_ridge
from headstart.datasets.values import Value
from headstart.objectives import classification
from headstart.objectives.classification import Classification
from headstart.objectives.regression import Regression

SHAPES = [(12, 4), (12, 40), (30, 30)]  # rows, features: more rows, more features, equally many


@pytest.fixture(params=SHAPES, ids=str)
def problem(request):
    """Features with a far-off mean and unequal scales, and the targets of three classes of unequal size."""
    rows, width = request.param
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(np.minimum(rng.integers(0, 4, rows), 2))
    features = rng.normal(size=(rows, width)) * np.geomspace(0.5, 2, width) + 5
    features[:, 0] += labels.numpy() * 4
    return torch.from_numpy(features), classification.ridge_targets(labels, 3)


def penalties(features: torch.Tensor, smallest: float, largest: float) -> np.ndarray:
    """In scikit-learn's terms: relative to the mean eigenvalue of the rows' centred Gram matrix."""
    centred = (features - features.mean(0)).numpy()
    return np.geomspace(smallest, largest, PENALTIES) * (centred**2).sum() / len(centred)


def left_out(features: torch.Tensor, targets: torch.Tensor, penalty: float) -> np.ndarray:
    """Predictions of each row by a ridge regression on all the others."""
    rows = np.arange(len(features))
    return np.concatenate(
        [
            Ridge(alpha=penalty).fit(features[rows != row], targets[rows != row]).predict(features[row : row + 1])
            for row in rows
        ]
    )


def test_one_penalty_gives_scikit_learns_ridge_and_exact_left_out_predictions(problem):
    features, targets = problem
    weight, bias, out = ridge(features, targets, smallest=0.03, largest=0.03)
    penalty = penalties(features, 0.03, 0.03)[0]
    expected = Ridge(alpha=penalty, solver="svd").fit(features.numpy(), targets.numpy())
    assert weight.numpy() == pytest.approx(expected.coef_, rel=1e-6, abs=1e-9)
    assert bias.numpy() == pytest.approx(expected.intercept_, rel=1e-6, abs=1e-9)
    assert out.numpy() == pytest.approx(left_out(features, targets, penalty), rel=1e-6, abs=1e-8)


def test_the_penalty_is_the_one_that_ridgecv_chooses(problem):
    features, targets = problem
    weight, bias, out = ridge(features, targets, smallest=1e-4, largest=1e4)
    grid = penalties(features, 1e-4, 1e4)
    expected = RidgeCV(alphas=grid, store_cv_results=True).fit(features.numpy(), targets.numpy())
    assert grid.min() < expected.alpha_ < grid.max()  # at an end the choice would say little
    assert weight.numpy() == pytest.approx(expected.coef_, rel=1e-5, abs=1e-8)
    assert bias.numpy() == pytest.approx(expected.intercept_, rel=1e-5, abs=1e-8)
    errors = expected.cv_results_[:, :, list(grid).index(expected.alpha_)]
    assert ((targets - out) ** 2).numpy() == pytest.approx(errors, rel=1e-5, abs=1e-8)


def test_a_constant_feature_changes_nothing(problem):
    features, targets = problem
    wider = torch.cat([features, torch.full((len(features), 1), 3.0, dtype=torch.float64)], dim=1)
    weight, bias, out = ridge(features, targets, smallest=0.03, largest=0.03)
    wide, wide_bias, wide_out = ridge(wider, targets, smallest=0.03, largest=0.03)
    assert torch.allclose(wide[:, :-1], weight, atol=1e-9)
    assert torch.allclose(wide[:, -1], torch.zeros(3, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(wide_out, out, atol=1e-9)
    assert torch.allclose(wide_bias, bias, atol=1e-8)


def test_features_that_say_nothing_give_the_shares_of_the_classes():
    """A dead layer: no feature varies, so there is nothing to put a weight on."""
    labels = torch.tensor([0, 0, 0, 1])
    weight, bias, out = ridge(
        torch.ones(4, 5, dtype=torch.float64), classification.ridge_targets(labels, 2), smallest=1e-4, largest=1e4
    )
    assert weight.tolist() == [[0.0] * 5] * 2
    assert bias.tolist() == [0.5, -0.5]
    assert torch.isfinite(out).all()


def test_the_head_that_is_handed_on_is_calibrated_on_what_was_left_out(problem):
    features, targets = problem
    labels, objective = targets.argmax(1), Classification(("a", "b", "c"))
    weight, bias, out = ridge(features, targets, smallest=1e-4, largest=1e4)
    temperature = classification.calibrate(out, labels)
    head = solve_head(features, labels, objective=objective, smallest=1e-4, largest=1e4)
    assert temperature != 1.0
    assert torch.equal(head.weight, weight / temperature)
    assert torch.equal(head.bias, bias / temperature)


def test_of_values_the_head_gives_standardised_ones(problem):
    features, _ = problem
    values = features[:, :1] * 3 + 100
    objective = Regression((Value("angle", "degrees"),)).fitted(values)
    head = solve_head(features, values, objective=objective, smallest=1e-8, largest=1e-8)
    found = objective.predict(features @ head.weight.T + head.bias)[:, 0]
    assert found.numpy() == pytest.approx(values[:, 0].numpy(), abs=0.1)
    assert head.weight.shape == (1, features.shape[1])


def test_the_arithmetic_of_the_solution_is_counted_by_hand():
    gram, eigenvectors, projected = 2 * 10**2 * 4, 9 * 10**3, 2 * 10**2 * 3
    fits, weight = 17 * (2 * 10**2 * 3 + 2 * 10**2), 2 * 10 * 10 * 3 + 2 * 10 * 4 * 3
    assert ridge_flops(10, 4, outputs=3) == gram + eigenvectors + projected + fits + weight


def test_weighted_ridge_is_scikit_learns_with_sample_weights():
    draw = np.random.default_rng(5)
    features, targets = draw.normal(size=(60, 4)) + 2, draw.normal(size=(60, 2))
    weights = draw.uniform(size=60)
    weights /= weights.sum()
    centred = features - weights @ features
    scale = np.linalg.eigvalsh(centred.T @ (weights[:, None] * centred)).mean()
    found = list(weighted_ridge(*map(torch.from_numpy, (features, targets, weights)), smallest=1e-3, largest=10))
    assert len(found) == PENALTIES
    for (weight, bias), penalty in zip(found, np.logspace(-3, 1, PENALTIES), strict=True):
        theirs = Ridge(penalty * scale).fit(features, targets, sample_weight=weights)
        assert np.allclose(weight.numpy(), theirs.coef_)
        assert np.allclose(bias.numpy(), theirs.intercept_)
