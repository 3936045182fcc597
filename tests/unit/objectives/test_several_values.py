"""Several values a row: each standardised by itself, one number a row that no unit weighs on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from torch import nn

from headstart.cells.ridge import ridge
from headstart.datasets.values import Value, matches
from headstart.objectives.kinds import VALUE, VALUES
from headstart.objectives.regression import Regression

X, Y, ANGLE = Value("x", "pixels"), Value("y", "pixels"), Value("angle", "degrees")
DRAW = np.random.default_rng(3)
TARGETS = torch.from_numpy(DRAW.normal([1, -2, 30], [2, 3, 20], (40, 3))).float()
POSE = Regression((X, Y, ANGLE)).fitted(TARGETS)


def test_each_has_the_scale_of_its_own_training_rows():
    assert [own.mean for own in POSE.values] == pytest.approx(TARGETS.double().mean(0).tolist())
    assert [own.std for own in POSE.values] == pytest.approx(TARGETS.double().std(0, correction=0).tolist())
    assert (POSE.kind, POSE.outputs) == (VALUES, 3)


def test_a_head_that_says_the_standardised_values_is_right_and_zero_costs_one():
    scores = POSE.ridge_targets(TARGETS)
    assert torch.allclose(POSE.predict(scores).float(), TARGETS, atol=1e-4)
    assert POSE.loss(scores.float(), TARGETS).item() == pytest.approx(0, abs=1e-10)
    assert POSE.loss(torch.zeros(40, 3), TARGETS).item() == pytest.approx(1.0)


def test_a_score_is_minus_the_mean_error_in_standard_deviations():
    errors = torch.tensor([1.0, -2.0, 3.0]) * torch.tensor([own.std for own in POSE.values])
    assert POSE.score(TARGETS + errors, TARGETS) == pytest.approx(-2.0, rel=1e-5)
    assert POSE.held_out_loss(TARGETS + errors, TARGETS) == pytest.approx((1 + 4 + 9) / 3, rel=1e-5)


@given(st.lists(st.floats(0.01, 100), min_size=3, max_size=3), st.integers(0, 2**16))
def test_no_unit_weighs_on_it(units, seed):
    """Values and predictions in other units score the same."""
    each = torch.tensor(units)
    said = TARGETS + torch.randn(40, 3, generator=torch.Generator().manual_seed(seed))
    found = Regression((X, Y, ANGLE)).fitted(TARGETS * each).row_scores(said * each, TARGETS * each)
    assert found.numpy() == pytest.approx(POSE.row_scores(said, TARGETS).numpy(), rel=1e-3, abs=1e-5)


@given(st.floats(0.01, 100), st.integers(0, 2**16))
def test_one_value_is_scored_in_its_unit(each, seed):
    own = Regression((X,)).fitted(TARGETS[:, :1] * each)
    said = torch.randn(40, 1, generator=torch.Generator().manual_seed(seed)) * each
    expected = -(said.double() - (TARGETS[:, :1] * each).double()).abs()[:, 0]
    assert (own.row_scores(said, TARGETS[:, :1] * each) == expected).all()
    assert own.kind is VALUE


def test_ridge_gives_each_what_it_would_give_it_alone():
    features = torch.from_numpy(DRAW.normal(size=(40, 5)))
    weight, bias, _ = ridge(features, POSE.ridge_targets(TARGETS), smallest=0.1, largest=0.1)
    scale = np.linalg.eigvalsh((features - features.mean(0)).numpy() @ (features - features.mean(0)).numpy().T)
    theirs = Ridge(0.1 * scale.clip(0).mean()).fit(features.numpy(), POSE.ridge_targets(TARGETS).numpy())
    assert weight.numpy() == pytest.approx(theirs.coef_, rel=1e-5, abs=1e-8)
    assert bias.numpy() == pytest.approx(theirs.intercept_, abs=1e-8)


def test_each_has_an_interval_of_its_own():
    errors = torch.from_numpy(DRAW.normal(0, [1, 2, 10], (40, 3))).float()
    found = POSE.calibration(TARGETS + errors, TARGETS, level=0.9)
    expected = errors.abs().sort(0).values[36]  # ceil(41 * .9) = 37
    assert found.half_widths == pytest.approx(expected.tolist(), rel=1e-3)
    table = POSE.calibrated(found).frame(TARGETS)
    assert list(table) == ["x", "x_low", "x_high", "y", "y_low", "y_high", "angle", "angle_low", "angle_high"]
    assert (table["y_high"] - table["y"]).to_numpy() == pytest.approx(np.full(40, found.half_widths[1]), rel=1e-4)
    assert list(POSE.frame(TARGETS)) == ["x", "y", "angle"]
    assert "probabilities" not in POSE.columns(TARGETS)
    assert POSE.calibration(TARGETS[:8], TARGETS[:8], level=0.9).half_widths == ()


def source_head(outputs: int) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, outputs)


class Card:
    target_kind = "value"
    classes = attributes = ()

    def __init__(self, *values: Value):
        self.values = values


def test_values_take_the_heads_of_their_names_and_units_whatever_their_order():
    theirs = Card(replace(ANGLE, mean=5.0, std=30.0), replace(X, mean=1.0, std=2.0))
    head, ours, features = source_head(2), source_head(3), torch.randn(6, 4)
    said = head(features) * torch.tensor([30.0, 2.0]) + torch.tensor([5.0, 1.0])
    POSE.start_head(ours, head, theirs)
    found = POSE.predict(ours(features))
    assert torch.allclose(found[:, 0], said[:, 1], atol=1e-4)
    assert torch.allclose(found[:, 2], said[:, 0], atol=1e-3)
    assert ours.weight[1].abs().sum() == 0  # y is not among theirs
    assert POSE.own_head(head, theirs) is None
    objective, weight, bias = Regression((X, ANGLE)).own_head(head, theirs)
    assert torch.allclose(objective.predict(features @ weight.T + bias), said.flip(1), atol=1e-4)


def test_what_means_the_same():
    assert matches([X, Y], [Y, X]) == [1, 0]
    assert matches([Value("a", "m")], [Value("b", "m")]) == [0]  # one beside one: the unit says it
    assert matches([Value("a", "m")], [Value("b", "m"), Value("c", "m")]) == [None]
    assert matches([Value("x"), Y], [Value("x"), Y]) == [None, 1]  # units without a name may be anything
