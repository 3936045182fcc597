"""Selection: the best mean validation accuracy, its ties, and nothing but validation."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.cells.select import choose

ALL = ("source", "scratch", "linear_probe", "frozen_blocks", "full")


def table(variant: str = "", **scores) -> pd.DataFrame:
    """A cell a seed: the strategy's accuracies, or (accuracy, loss) pairs."""
    rows = [
        (name, variant, 10, seed, *(value if isinstance(value, tuple) else (value, 0.5)))
        for name, values in scores.items()
        for seed, value in enumerate(values)
    ]
    names = ["strategy", "variant", "label_budget", "seed", "validation_score", "validation_loss"]
    return pd.DataFrame(rows, columns=names)


def test_the_best_mean_over_the_seeds_is_chosen():
    cells = table(scratch=[0.7, 0.7], linear_probe=[0.9, 0.3], frozen_blocks=[0.6, 0.62], full=[0.7, 0.5])
    found = choose(cells, ("scratch", "linear_probe", "frozen_blocks", "full"))
    assert found["strategy"] == "frozen_blocks"
    assert found["against"] == "scratch"
    assert found["validation_accuracy"] == pytest.approx({"linear_probe": 0.6, "frozen_blocks": 0.61, "full": 0.6})
    assert found["validation_loss"] == pytest.approx({"linear_probe": 0.5, "frozen_blocks": 0.5, "full": 0.5})


def test_neither_the_control_nor_the_source_as_it_is_can_be_chosen():
    cells = table(source=[1.0], scratch=[1.0], linear_probe=[0.1], frozen_blocks=[0.2], full=[0.1])
    assert choose(cells, ALL)["strategy"] == "frozen_blocks"


def test_ties_go_to_the_lower_loss():
    cells = table(scratch=[0.5], linear_probe=[(0.8, 0.4)], full=[(0.8, 0.3)])
    assert choose(cells, ("scratch", "linear_probe", "full"))["strategy"] == "full"


def test_ties_of_both_go_to_the_one_listed_first():
    cells = table(scratch=[0.5], linear_probe=[0.8], full=[0.8])
    assert choose(cells, ("scratch", "linear_probe", "full"))["strategy"] == "linear_probe"
    assert choose(cells, ("full", "scratch", "linear_probe"))["strategy"] == "full"


@given(st.lists(st.integers(1, 19), min_size=2, max_size=9), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=30)
def test_equal_numbers_of_right_rows_are_a_tie_however_the_seeds_share_them(right, chance):
    """Their means differ in the last bit; that must not decide."""
    other = list(right)
    chance.shuffle(other)
    other[0], other[1] = other[0] - 1, other[1] + 1
    cells = table(
        scratch=[0.0] * len(right),
        linear_probe=[(count / 20, 0.4) for count in right],
        full=[(count / 20, 0.3) for count in other],
    )
    assert choose(cells, ("scratch", "linear_probe", "full"))["strategy"] == "full"


def test_variants_of_the_control_have_no_say():
    cells = pd.concat([table(scratch=[0.5], full=[0.8], linear_probe=[0.7]), table("half_steps", full=[0.0])])
    assert choose(cells, ("scratch", "linear_probe", "full"))["strategy"] == "full"


def test_each_source_enters_for_itself():
    """The best pair of strategy and source; a strategy is not helped or held back by what it does from another W."""
    cells = table(**{"scratch": [0.5], "full@a": [0.9, 0.7], "full@b": [0.9, 0.9], "linear_probe@a": [0.85, 0.85]})
    found = choose(cells, ("scratch", "linear_probe", "full"))
    assert (found["entrant"], found["strategy"], found["source"]) == ("full@b", "full", "b")
    assert set(found["validation_accuracy"]) == {"full@a", "full@b", "linear_probe@a"}


def test_equal_pairs_go_by_the_strategies_order_then_by_the_sources():
    cells = table(**{"scratch": [0.5], "full@b": [0.9], "full@a": [0.9], "linear_probe@a": [0.9]})
    assert choose(cells, ("scratch", "full", "linear_probe"))["entrant"] == "full@b"
    assert choose(cells, ("scratch", "linear_probe", "full"))["entrant"] == "linear_probe@a"
