"""The objective of attributes by hand: what is unknown has no say, and each attribute weighs the same."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, r2_score

from headstart.datasets.pack import Attribute
from headstart.errors import IntegrityError
from headstart.objectives.attributes import Attributes
from headstart.objectives.objective import objective_of, source_objective_of
from headstart.training.rows import Normalisation
from headstart.training.weights import WeightsCard, read_card, write_weights

NAN = math.nan
TARGETS = torch.tensor([[1.0, 10.0, 2.0], [0.0, 30.0, NAN], [NAN, NAN, 0.0], [1.0, 20.0, 1.0]])
PLAIN = Attributes(
    (Attribute("serif", "yes/no"), Attribute("width", "number"), Attribute("case", "tag", ("a", "b", "c")))
)
FITTED = PLAIN.fitted(TARGETS)
SCORES = torch.tensor([[2.0, 0.5, 0.1, 0.2, 0.9], [1.0, 1.0, 5.0, 0, 0], [9.0, 9.0, 1.0, 0, 0], [-1.0, 0.0, 0, 3.0, 0]])


def card(**changes) -> WeightsCard:
    given = {"kind": "network", "strategy": "pretrain", "dataset": "x", "backbone": "resnet8", "modality": "image"}
    plain = {
        "channels": 1,
        "size": (8, 8),
        "preparation": {},
        "normalisation": Normalisation((0.0,), (1.0,)),
        "levels": 0,
        "seed": 0,
    }
    return WeightsCard(**given, **plain, **(FITTED.describe() | changes))


def test_numbers_are_standardised_on_the_known_rows():
    width = FITTED.attributes[1]
    assert (width.mean, width.std) == (pytest.approx(20), pytest.approx(np.std([10, 20, 30])))
    assert FITTED.attributes[0] == PLAIN.attributes[0]
    same = PLAIN.fitted(torch.full((3, 3), 1.0)).attributes[1]
    assert (same.mean, same.std) == (1.0, 1.0)


def test_the_loss_is_the_mean_of_each_attributes_mean_over_the_rows_that_have_it():
    probability = 1 / (1 + np.exp(-SCORES[[0, 1, 3], 0].numpy()))
    yes_no = log_loss([1, 0, 1], probability)
    number = np.mean([(s - (t - 20) / np.std([10, 20, 30])) ** 2 for s, t in ((0.5, 10), (1.0, 30), (0.0, 20))])
    softmax = torch.softmax(SCORES[[0, 2, 3], 2:], 1).double().numpy()
    tag = log_loss([2, 0, 1], softmax / softmax.sum(1, keepdims=True), labels=[0, 1, 2])
    assert float(FITTED.loss(SCORES, TARGETS)) == pytest.approx((yes_no + number + tag) / 3, rel=1e-5)


def test_what_is_unknown_has_no_gradient_and_nothing_known_is_no_loss():
    scores = SCORES.clone().requires_grad_()
    FITTED.loss(scores, TARGETS).backward()
    assert scores.grad[2, :2].tolist() == [0, 0]
    assert scores.grad[1, 2:].tolist() == [0, 0, 0]
    assert (scores.grad[0] != 0).all()
    empty = FITTED.loss(scores, torch.full((4, 3), NAN))
    assert float(empty.detach()) == 0.0
    empty.backward()  # a batch of unknowns is no error


def test_the_score_is_the_mean_of_accuracies_and_r2():
    predictions = FITTED.predict(SCORES)
    r2 = r2_score([10, 30, 20], predictions[[0, 1, 3], 1].numpy())
    assert FITTED.score(predictions, TARGETS) == pytest.approx((1 / 3 + r2 + 1) / 3, rel=1e-5)
    assert FITTED.kind.metric == "attribute_score"


def test_predictions_are_probabilities_numbers_and_categories():
    predictions = FITTED.predict(SCORES)
    assert predictions.shape == (4, 5)
    assert torch.allclose(predictions[:, 2:].sum(1), torch.ones(4))
    frame = FITTED.frame(predictions)
    assert frame.columns.tolist() == ["serif", "width", "case"]
    assert frame["case"].tolist() == ["c", "a", "a", "b"]
    assert frame["width"].iloc[0] == pytest.approx(20 + 0.5 * np.std([10, 20, 30]))
    assert frame["serif"].iloc[0] == pytest.approx(1 / (1 + math.exp(-2)))


def test_a_card_tells_the_objective(tmp_path):
    assert card().outputs == 5
    assert source_objective_of(card()) == FITTED
    (tmp_path / "w").mkdir()
    write_weights(tmp_path / "w", card(), {"a": torch.zeros(1)})
    assert read_card(tmp_path / "w") == card()


def test_a_target_has_no_such_objective():
    with pytest.raises(IntegrityError, match="attributes are learned from in a source, and are never a target's"):
        objective_of(card())
