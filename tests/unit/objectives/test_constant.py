"""Predictions against one constant answer: told apart by a test, and only where the rows are enough for one."""

import pytest
import torch

from headstart.datasets.pack import Attribute
from headstart.datasets.values import Value
from headstart.objectives.attributes import Attributes
from headstart.objectives.classification import Classification
from headstart.objectives.regression import Regression

THREE = Classification(("a", "b", "c"))


def of_classes(right: int, rows: int, labels: list[int] | None = None):
    """So many of the rows are right; the others take the next class."""
    targets = torch.tensor(labels or [row % 3 for row in range(rows)])
    said = torch.where(torch.arange(rows) < right, targets, (targets + 1) % 3)
    return THREE.constant(torch.nn.functional.one_hot(said, 3).float(), targets)


@pytest.mark.parametrize(
    ("right", "rows", "as_good"),
    [
        (20, 60, True),
        (26, 60, True),  # p = 0.07
        (27, 60, False),  # p = 0.04: an accuracy of 0.45, which is little, and yet no chance
        (180, 300, False),
        (115, 300, False),  # 0.383 of many rows
        (6, 12, True),  # 0.5 of few rows
        (0, 60, True),
        (0, 2, False),  # two rows cannot tell: both are right by chance one time in nine
    ],
)
def test_of_classes_it_is_an_exact_binomial_test(right, rows, as_good):
    assert of_classes(right, rows).is_as_good is as_good


def test_uneven_classes_are_compared_with_the_commonest():
    labels = [0] * 40 + [1] * 10 + [2] * 10
    found = of_classes(40, 60, labels)
    assert (found.answer, found.score) == ("always the commonest of 3 classes", pytest.approx(2 / 3))
    assert found.is_as_good  # 0.667 is twice what one of three classes has
    assert not of_classes(50, 60, labels).is_as_good


def test_of_values_it_is_the_mean():
    generator = torch.Generator().manual_seed(0)
    values = (torch.randn(200, generator=generator) * 5 + 40)[:, None]
    objective = Regression((Value("angle", "degrees"),)).fitted(values)
    noise = torch.randn(200, generator=generator)[:, None]
    nothing = objective.constant(40 + noise, values)
    assert nothing.is_as_good
    assert nothing.answer == "always the mean"
    assert nothing.score == pytest.approx(float((values - values.mean()).abs().mean()), rel=1e-4)
    little = objective.constant(values.mean() + 0.2 * (values - values.mean()) + noise * 0.2, values)
    assert not little.is_as_good
    assert objective.constant(values.mean().repeat(200)[:, None], values).is_as_good


def test_of_attributes_one_that_is_told_is_enough():
    generator = torch.Generator().manual_seed(0)
    known = torch.stack(
        [
            torch.randint(0, 2, (120,), generator=generator).float(),
            torch.randint(0, 3, (120,), generator=generator).float(),
            torch.randn(120, generator=generator),
        ],
        dim=1,
    )
    known[:7, 0] = float("nan")
    objective = Attributes(
        (
            Attribute("bold", "yes/no"),
            Attribute("face", "tag", categories=("a", "b", "c")),
            Attribute("weight", "number"),
        )
    ).fitted(known)
    blind = torch.randn(120, 5, generator=generator)
    found = objective.constant(objective.predict(blind), known)
    assert found.is_as_good
    assert found.answer == "the commonest or mean answer to each of 3 attributes"
    assert 0.2 < found.score < 0.4  # of 0.5, 0.33 and an R2 of 0
    told = blind.clone()
    told[:, 0] = (known[:, 0].nan_to_num() * 2 - 1) * 5
    assert not objective.constant(objective.predict(told), known).is_as_good
    number = blind.clone()
    number[:, 4] = known[:, 2]
    assert not objective.constant(objective.predict(number), known).is_as_good
