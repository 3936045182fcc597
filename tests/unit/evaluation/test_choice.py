"""The check of the choice: each seed with the way that the others choose, and what that does to a verdict."""

import numpy as np
import pandas as pd
import pytest
from evaluation_simulator import Design, entrants, run_frames

from headstart.evaluation.choice import chosen_by_others
from headstart.evaluation.evaluate import evaluate
from headstart.evaluation.settings import EvaluationSettings

ROWS, SEEDS = 300, 5


def test_a_seed_has_no_say_in_its_own_choice():
    held = np.array([[0.9, 0.5, 0.5], [0.6, 0.6, 0.6]])
    assert chosen_by_others(held).tolist() == [1, 0, 0]  # (.5 .5) against (.6 .6); (.9 .5) against (.6 .6)


def test_the_first_of_equal_ones_is_taken():
    assert chosen_by_others(np.array([[0.5, 0.5], [0.5, 0.5]])).tolist() == [0, 0]
    third = np.array([[1 / 3, 2 / 3, 1.0], [2 / 3, 1 / 3, 1.0]])
    assert chosen_by_others(third).tolist() == [0, 1, 0]


def run(held: dict[str, list[float]], levels: dict[str, float]):
    """The verdict where entrants have these held-out scores by seed."""
    names = ["scratch", *levels]
    drawn = entrants(np.random.default_rng(3), Design(rows=ROWS, seeds=SEEDS), [1.0, *levels.values()])
    correct = {(name, "", 10, 1.0): table for name, table in zip(names, drawn, strict=True)}
    frames = run_frames(correct)
    scores = {(name, seed): score for name, own in held.items() for seed, score in enumerate(own)}
    cells = frames["cells"]
    keys = pd.MultiIndex.from_frame(cells[["strategy", "seed"]])
    frames["cells"] = cells.assign(validation_score=[scores.get(key, 0.5) for key in keys])
    return evaluate(**frames, chosen="full", headline_budget=10, settings=EvaluationSettings(), opened=1).verdict


def test_where_one_way_is_best_by_all_seeds_there_is_nothing_to_check():
    found = run({"full": [0.9] * 5, "probe": [0.8] * 5}, {"full": 2.2, "probe": 1.0})
    assert found.against_scratch.choice is None
    assert found.against_scratch.verdict == "helped"


def test_a_gain_that_the_other_seeds_would_have_chosen_too_is_reported_with_it():
    held = {"full": [0.9, 0.9, 0.9, 0.7, 0.7], "probe": [0.8, 0.8, 0.8, 0.85, 0.83]}
    found = run(held, {"full": 2.2, "probe": 2.2})
    assert found.against_scratch.choice.seeds == {"probe": 3, "full": 2}
    assert found.against_scratch.choice.low > 0
    assert found.against_scratch.verdict == "helped"


def test_a_gain_that_hangs_on_the_choice_is_not_settled():
    """Each seed's luck is in both its scores; without it there is nothing left of the gain."""
    held = {"full": [0.9, 0.9, 0.9, 0.7, 0.7], "probe": [0.8, 0.8, 0.8, 0.85, 0.83]}
    found = run(held, {"full": 1.9, "probe": 0.9})
    ruled = found.against_scratch
    assert ruled.low > 0
    assert found.against_scratch.choice.low <= 0
    assert (ruled.verdict, ruled.reason) == ("not settled", "choice")
    assert ruled.sentence.startswith(
        "not settled whether transfer helped: it hangs on the choice (where each seed takes the way that the other "
        "seeds choose, the gain is "
    )
    assert "): more seeds, or more labels, would tell the ways apart; so far full +" in ruled.sentence
    assert found.to_settle is None


def test_a_gain_over_the_source_that_hangs_on_the_choice_is_not_settled_either():
    held = {"full": [0.9, 0.9, 0.9, 0.7, 0.7], "probe": [0.8, 0.8, 0.8, 0.85, 0.83]}
    found = run(held, {"full": 1.9, "probe": 0.9, "source": 1.0})
    ruled = found.against_source
    assert ruled.low > 0
    assert ruled.choice.low <= 0
    assert (ruled.verdict, ruled.reason) == ("not settled", "choice")


def test_harm_is_reported_whatever_the_others_would_have_chosen():
    held = {"full": [0.9, 0.9, 0.9, 0.7, 0.7], "probe": [0.8, 0.8, 0.8, 0.85, 0.83]}
    found = run(held, {"full": 0.0, "probe": 2.0})
    assert found.against_scratch.choice is not None
    assert found.against_scratch.verdict == "hurt"


def test_entrants_without_held_out_scores_cannot_have_been_chosen():
    found = run({"full": [0.4] * 5, "probe": [np.nan] * 5}, {"full": 2.2, "probe": 1.0})
    assert found.against_scratch.choice is None


def test_what_is_only_shown_is_not_one_either():
    drawn = entrants(np.random.default_rng(3), Design(rows=ROWS, seeds=SEEDS), [1.0, 2.2, 1.0])
    keys = [("scratch", "", 10, 1.0), ("full", "", 10, 1.0), ("probe", "", 10, 1.0)]
    frames = run_frames(dict(zip(keys, drawn, strict=True)))
    best = frames["cells"]["strategy"] == "probe"
    frames["cells"] = frames["cells"].assign(validation_score=np.where(best, 1.0, 0.5))
    named = {"chosen": "full", "headline_budget": 10, "settings": EvaluationSettings(), "opened": 1}
    assert evaluate(**frames, **named, shown=["probe"]).verdict.against_scratch.choice is None
    assert evaluate(**frames, **named).verdict.against_scratch.choice.seeds == {"probe": 5}


@pytest.mark.parametrize("name", ["source", "scratch:half_steps"])
def test_neither_the_source_nor_the_control_is_a_choice(name):
    strategy, _, variant = name.partition(":")
    drawn = entrants(np.random.default_rng(3), Design(rows=ROWS, seeds=SEEDS), [1.0, 2.2, 1.0])
    keys = [("scratch", "", 10, 1.0), ("full", "", 10, 1.0), (strategy, variant, 10, 1.0)]
    frames = run_frames(dict(zip(keys, drawn, strict=True)))
    best = (frames["cells"]["strategy"] == strategy) & (frames["cells"]["variant"] == variant)
    frames["cells"] = frames["cells"].assign(validation_score=np.where(best, 1.0, 0.5))
    found = evaluate(**frames, chosen="full", headline_budget=10, settings=EvaluationSettings(), opened=1).verdict
    assert found.against_scratch.choice is None
