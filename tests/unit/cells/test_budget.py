"""The budget of minutes: what is dropped, in which order, and what never is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.cells.budget import fit
from headstart.cells.plan import Speed, estimate
from headstart.errors import UserError
from headstart.settings import Settings, validate

SPEED = Speed(step=0.01, prediction=0.0, parameters=1000)


GRID = validate({"remedy": {"max_rounds": 0}}, where="test")  # the grid alone


def seconds(settings: Settings) -> float:
    """Of one worker; the default takes 5 x 3300 steps and pretraining of 1248, a hundredth of a second each."""
    found = estimate(settings, SPEED, source_rows=[5000], target_rows=1797, test_rows=700, workers=1)
    return found.seconds + found.remedy_seconds


def grid(settings: Settings) -> tuple:
    return settings.finetune.curve_budgets, settings.finetune.strategies, settings.finetune.seeds


def test_what_fits_stays_as_it_is():
    found = fit(GRID, seconds=177.48, estimate=seconds)
    assert found.seconds == pytest.approx(177.48)
    assert found.dropped == ()
    assert found.settings == GRID


@pytest.mark.parametrize(
    ("allowed", "rounds", "dropped"),
    [
        # 5 seeds of 200 steps each for another depth and l2_sp, 100 for wise_ft, 400 (rotation), 733 (fixmatch)
        (259.15, 7, []),
        (259.0, 4, ["remedies beyond round 4"]),
        (222.0, 3, ["remedies beyond round 3"]),
        (187.0, 0, ["remedies"]),
        (177.0, 0, ["remedies", "the curve's budget of 20"]),
    ],
)
def test_remedies_go_first_the_last_of_them_before_the_others(allowed, rounds, dropped):
    found = fit(Settings(), seconds=allowed, estimate=seconds)
    assert (found.settings.remedy.max_rounds, list(found.dropped)) == (rounds, dropped)
    assert found.seconds <= allowed


@pytest.mark.parametrize(
    ("allowed", "takes", "dropped"),
    [
        # without the curve's 800 steps a budget: 2500, then 1700 steps a seed
        (177.0, 137.48, ["the curve's budget of 20"]),
        (137.0, 97.48, ["the curve's budget of 20", "the curve's budget of 5"]),
        # without full: 1500 a seed. frozen_blocks is as costly, and the last of equal ones goes
        (97.0, 87.48, ["the curve's budget of 20", "the curve's budget of 5", "strategy full"]),
        # without frozen_blocks: 1300 a seed. lp_ft is the last that is tuned, and stays
        (87.0, 77.48, ["the curve's budget of 20", "the curve's budget of 5", "strategy full"]
         + ["strategy frozen_blocks"]),
        # 1300 steps less a seed
        (60.0, 51.48, ["the curve's budget of 20", "the curve's budget of 5", "strategy full"]
         + ["strategy frozen_blocks", "seed 4", "seed 3"]),
    ],
)  # fmt: skip
def test_it_goes_in_the_stated_order_and_no_further_than_needed(allowed, takes, dropped):
    found = fit(GRID, seconds=allowed, estimate=seconds)
    assert list(found.dropped) == dropped
    assert found.seconds == pytest.approx(takes)
    assert seconds(found.settings) == found.seconds


def test_the_costliest_strategy_goes_first():
    settings = validate({"remedy": {"max_rounds": 0}, "strategies": {"frozen_blocks": {"steps": 400}}}, where="test")
    found = fit(settings, seconds=100, estimate=seconds)
    assert found.dropped[-1] == "strategy frozen_blocks"
    assert found.settings.finetune.strategies == ("source", "scratch", "linear_probe", "full", "lp_ft")


def test_each_rate_that_is_tried_counts():
    rates = {"scratch": {"learning_rates": [0.01, 0.02]}, "full": {"learning_rates": [0.004, 0.002]}}
    settings = validate({"remedy": {"max_rounds": 0}, "strategies": rates}, where="test")
    found = fit(settings, seconds=150, estimate=seconds)  # 3100 steps a seed without the curve, 2700 without full
    assert found.dropped[-1] == "strategy full"
    assert found.seconds == pytest.approx(147.48)


def test_where_not_even_the_smallest_fits_its_estimate_is_said():
    with pytest.raises(UserError) as caught:
        fit(GRID, seconds=30, estimate=seconds)
    assert "0.5 minutes are too few: the smallest grid takes about 51 s " in str(caught.value)
    assert "strategy full; strategy frozen_blocks; seed 4; seed 3" in str(caught.value)


@pytest.mark.parametrize(
    ("factor", "given", "said"),
    [(0.01, 0.3, r"0\.005 minutes .* about 0\.51 s "), (2.0, 60, r"1 minutes .* about 1\.7 minutes ")],
)
def test_the_estimate_is_in_seconds_below_a_minute(factor, given, said):
    with pytest.raises(UserError, match=said):
        fit(GRID, seconds=given, estimate=lambda settings: factor * seconds(settings))


def test_seeds_below_three_stay_what_they_are():
    settings = validate(
        {
            "remedy": {"max_rounds": 0},
            "finetune": {"seeds": 2, "curve_budgets": [], "strategies": ["scratch", "full"]},
        },
        where="test",
    )
    with pytest.raises(UserError, match="dropped: nothing, it is the smallest"):
        fit(settings, seconds=1, estimate=seconds)


@given(allowed=st.floats(20, 400), seeds=st.integers(1, 8), curve=st.sets(st.integers(2, 9), max_size=4))
def test_the_comparison_stays_a_fair_one(allowed, seeds, curve):
    before = validate({"finetune": {"seeds": seeds, "curve_budgets": sorted(curve)}}, where="test")
    try:
        after = fit(before, seconds=allowed, estimate=seconds).settings
    except UserError:
        return
    assert seconds(after) <= allowed
    assert after.finetune.seeds >= min(seeds, 3)
    assert after.recipe("scratch") == before.recipe("scratch")
    assert {"source", "scratch", "linear_probe"} < set(after.finetune.strategies)
    assert {"full", "frozen_blocks", "lp_ft"} & set(after.finetune.strategies)
    assert validate(after.model_dump(), where="test") == after
    if len(after.finetune.strategies) < 6:
        assert after.finetune.curve_budgets == ()
    if after.finetune.seeds < seeds:
        assert len(after.finetune.strategies) == 4
