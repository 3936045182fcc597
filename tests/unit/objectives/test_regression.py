"""Regression's parts by hand and against scikit-learn: everything inside is standardised, all that comes out is not."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsRegressor
from torch import nn

from headstart.datasets.values import Value
from headstart.errors import IntegrityError
from headstart.objectives.classification import Classification
from headstart.objectives.kinds import KINDS, kind_of
from headstart.objectives.neighbours import TEMPERATURE
from headstart.objectives.objective import objective_of
from headstart.objectives.regression import NEIGHBOURS, Regression
from headstart.training.rows import Normalisation
from headstart.training.weights import WeightsCard

RNG = np.random.default_rng(0)
TARGETS = torch.tensor([[10.0], [20.0], [60.0]])
DEGREES = Regression((Value("angle", "degrees"),)).fitted(TARGETS)
OTHERS = Value("value", "degrees", 30.0, 4.0)  # of a source


def card(**changes) -> WeightsCard:
    given = {"classes": (), "target_kind": "value", "values": (OTHERS,)}
    plain = {"kind": "network", "strategy": "pretrain", "dataset": "x", "backbone": "resnet8", "modality": "image"}
    return WeightsCard(
        channels=1,
        size=(8, 8),
        preparation={},
        normalisation=Normalisation((0.0,), (1.0,)),
        levels=0,
        seed=0,
        **plain,
        **(given | changes),
    )


def head(weight: float, bias: float) -> nn.Linear:
    found = nn.Linear(2, 1)
    with torch.no_grad():
        found.weight.fill_(weight)
        found.bias.fill_(bias)
    return found


def test_the_scale_is_that_of_the_training_rows():
    assert (DEGREES.values[0].mean, DEGREES.values[0].std) == (30.0, pytest.approx(np.std([10, 20, 60])))
    assert Regression((Value("m"),)).fitted(torch.tensor([[5.0], [5.0]])).values[0].std == 1.0  # nothing varies


def test_a_head_that_says_the_standardised_values_is_right():
    scores = (TARGETS - DEGREES.values[0].mean) / DEGREES.values[0].std
    assert DEGREES.loss(scores, TARGETS).item() == pytest.approx(0.0, abs=1e-12)
    assert DEGREES.predict(scores)[:, 0].tolist() == pytest.approx([10, 20, 60])
    assert DEGREES.score(DEGREES.predict(scores), TARGETS) == pytest.approx(0.0, abs=1e-5)
    assert DEGREES.ridge_targets(TARGETS).numpy() == pytest.approx(scores.numpy())
    assert DEGREES.ridge_targets(TARGETS).dtype == torch.float64


def test_the_loss_of_the_mean_is_one():
    assert DEGREES.loss(torch.zeros(3, 1), TARGETS).item() == pytest.approx(1.0)


def test_a_score_is_minus_the_mean_absolute_error_in_the_unit():
    predictions = torch.tensor([[12.0], [17.0], [60.0]])
    assert DEGREES.score(predictions, TARGETS) == pytest.approx(-5 / 3)
    assert DEGREES.held_out_loss(predictions, TARGETS) == pytest.approx((4 + 9) / 3)
    assert DEGREES.kind.value(-5 / 3) == pytest.approx(5 / 3)


def test_nearest_neighbours_are_scikit_learns_with_softmax_weights():
    features = RNG.normal(size=(40, 6))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    values = torch.from_numpy(RNG.normal(50, 9, (30, 1))).float()
    objective = Regression((Value("m"),)).fitted(values)
    kept = objective.prototypes(torch.from_numpy(features[:30]).float(), values)
    found = objective.predict(objective.from_prototypes(torch.from_numpy(features[30:]).float(), kept))
    expected = KNeighborsRegressor(
        NEIGHBOURS, metric="cosine", weights=lambda distance: np.exp((1 - distance) / TEMPERATURE)
    )
    assert found[:, 0].numpy() == pytest.approx(
        expected.fit(features[:30], values[:, 0].numpy()).predict(features[30:]), rel=1e-4
    )


def test_fewer_rows_than_neighbours_are_all_neighbours():
    kept = DEGREES.prototypes(torch.eye(3), TARGETS)
    found = DEGREES.predict(DEGREES.from_prototypes(torch.eye(3), kept))
    assert found[:, 0].tolist() == pytest.approx([10, 20, 60], abs=1e-3)


def test_a_head_of_the_same_unit_goes_on_with_the_same_predictions():
    source, ours, features = head(0.5, 0.1), head(9.0, 9.0), torch.tensor([[1.0, 2.0], [-3.0, 0.5]])
    expected = source(features) * 4.0 + 30.0
    DEGREES.start_head(ours, source, card())
    assert DEGREES.predict(ours(features)).detach().numpy() == pytest.approx(expected.detach().numpy(), rel=1e-6)
    objective, weight, bias = DEGREES.own_head(source, card())
    assert objective.predict(features @ weight.T + bias).numpy() == pytest.approx(expected.detach().numpy(), rel=1e-6)


@pytest.mark.parametrize(
    "other",
    [
        {"values": (Value("angle", "metres"),)},
        {"values": (Value("angle"),)},
        {"target_kind": "class", "classes": ("a",), "values": ()},
    ],
)
def test_a_head_of_anything_else_starts_from_zero_and_is_no_head_for_these_values(other):
    ours = head(9.0, 9.0)
    DEGREES.start_head(ours, head(0.5, 0.1), card(**other))
    assert ours.weight.abs().sum() == ours.bias.abs().sum() == 0
    assert DEGREES.own_head(head(0.5, 0.1), card(**other)) is None


def test_two_units_without_a_name_are_not_the_same():
    assert Regression((Value("a"),)).own_head(head(0.5, 0.1), card(values=(Value("a"),))) is None


def test_a_card_says_which_objective():
    assert objective_of(card()) == Regression((OTHERS,))
    assert objective_of(card(target_kind="class", classes=("a", "b"), values=())) == Classification(("a", "b"))
    assert objective_of(card(**DEGREES.describe())) == DEGREES
    with pytest.raises(IntegrityError, match="targets of kind 'text' are unknown; known are class, value, attribute"):
        objective_of(card(target_kind="text"))


def test_kinds_in_words():
    assert KINDS["class"].labels(10) == "10 labels a class"
    assert KINDS["value"].labels(10) == "10 labels"
    assert (KINDS["class"].value(0.9), KINDS["value"].value(-3.2)) == (0.9, 3.2)
    assert kind_of(card()) is KINDS["value"]
