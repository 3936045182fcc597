"""A challenger is better where the paired interval on the same rows says so, and in no other case."""

import numpy as np
import pandas as pd
import pytest

from headstart.errors import DataError
from headstart.evaluation.measures import RATE, Error
from headstart.evaluation.promotion import compare, rows_digest
from headstart.evaluation.settings import EvaluationSettings

SETTINGS = EvaluationSettings()


def table(right: np.ndarray, *, seed: int = 0, groups: int = 0) -> pd.DataFrame:
    """A model that is right on some of the rows, of which the truth is "a"."""
    rows = len(right)
    group = [str(row % groups if groups else row) for row in range(rows)]
    ids = [f"row-{row:04d}" for row in range(rows)]
    said = np.where(right, "a", "b")
    return pd.DataFrame({"id": ids, "group": group, "truth": "a", "seed": seed, "prediction": said})


def right(count: int, *, of: int = 400) -> np.ndarray:
    return np.arange(of) < count


@pytest.mark.parametrize(
    ("ours", "theirs", "word", "start"),
    [
        (right(390), right(350), "helped", "better: +10.0 points (95% CI +"),
        (right(350), right(390), "hurt", "worse: -10.0 points"),
        (right(355), right(350), "not settled", "not shown to be better or worse: +1.2 points"),
        (right(350), right(350), "not settled", "not shown to be better or worse: +0.0 points"),
    ],
)
def test_the_word_and_the_sentence(ours, theirs, word, start):
    found = compare(table(ours), table(theirs, seed=3), measure=RATE, settings=SETTINGS)
    assert found.word == word
    assert found.is_better == (word == "helped")
    assert found.sentence.startswith(start)
    assert "these two models, 400 rows that both predicted" in found.sentence


def test_many_rows_of_two_that_are_alike_are_no_different():
    draw = np.random.default_rng(0)
    base = draw.random(20_000) < 0.9
    other = base.copy()
    base[:30], other[:30] = np.arange(30) < 15, np.arange(30) >= 15
    found = compare(table(base), table(other), measure=RATE, settings=SETTINGS)
    assert found.word == "equivalent"
    assert found.sentence.startswith("no different within 1 point: ")


def test_rows_that_one_was_trained_on_are_left_out():
    ours, theirs = table(right(390)), table(right(350))
    seen = [f"row-{row:04d}" for row in range(350, 400)]
    found = compare(ours, theirs, measure=RATE, settings=SETTINGS, without=seen)
    assert not found.is_better
    assert "350 rows" in found.sentence
    with pytest.raises(DataError, match="no row that is the same"):
        compare(ours, theirs, measure=RATE, settings=SETTINGS, without=list(ours["id"]))


def test_rows_of_a_group_count_as_one_unit():
    found = compare(table(right(390), groups=20), table(right(350), groups=20), measure=RATE, settings=SETTINGS)
    assert "20 groups" in found.sentence


def test_of_several_seeds_those_that_both_have_are_compared():
    ours = pd.concat([table(right(390), seed=seed) for seed in range(3)])
    theirs = pd.concat([table(right(340 + seed), seed=seed) for seed in (1, 2, 5)])
    found = compare(ours, theirs, measure=RATE, settings=SETTINGS)
    assert "2 seeds each" in found.sentence


def test_values_are_compared_by_their_errors():
    def of(error: float) -> pd.DataFrame:
        truth = np.linspace(0, 100, 300)
        rows = table(np.ones(300, dtype=bool)).assign(truth=truth)
        return rows.assign(prediction=truth + error * np.where(np.arange(300) % 2, 1, -1))

    found = compare(of(1.0), of(9.0), measure=Error("degrees", 30.0), settings=SETTINGS)
    assert found.is_better
    assert found.sentence.startswith("better: +8.0 degrees")


def test_the_digest_is_of_rows_truth_and_groups_alone():
    first = table(right(10, of=20))
    assert rows_digest(first, RATE) == rows_digest(table(right(15, of=20), seed=4).sample(frac=1, random_state=1), RATE)
    assert rows_digest(first, RATE) != rows_digest(first.iloc[1:], RATE)
    assert rows_digest(first, RATE) != rows_digest(first.assign(truth="b"), RATE)
    assert rows_digest(first, RATE) != rows_digest(first.assign(group="one"), RATE)
