"""The study of recipes: what the search finds on a surface that is known, and what a confirmation lets through."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from benchmarks.recipes.study import CONFIRMED, DESIGNS, MARGIN, SEARCHED, Design, confirm, mean_difference, search
from headstart.settings import Settings
from headstart.strategies.table import STRATEGIES

DESIGN = {
    "full": Design({"rate": 2, "steps": 100}, (("rate", (1, 2, 3)), ("steps", (100, 200)))),
    "probe": Design({"levels": 1}, (("levels", (1, 2)),)),
}


class Surface:
    """Scores by a function of the recipe, the same in all cells but for given noise; remembers what was asked for."""

    def __init__(self, score, loss=lambda recipe: 0.0, noise=0.0):
        self.score, self.loss, self.asked = score, loss, []
        self.noise, self.random = noise, np.random.default_rng(0)

    def __call__(self, recipes, seeds):
        self.asked.append((list(recipes), tuple(seeds)))
        shape = (3, len(seeds))
        return [
            (self.score(recipe) + self.noise * self.random.normal(size=shape), np.full(shape, self.loss(recipe)))
            for _, recipe in recipes
        ]


def value(recipe):
    return recipe.get("rate", 0) / 10 + recipe.get("steps", 0) / 1000 + recipe.get("levels", 0) / 10


def test_the_search_goes_factor_by_factor_and_keeps_what_is_best():
    surface = Surface(value)
    trials = search(DESIGN, surface)
    assert [trial.recipe for trial in trials["full"]] == [
        {"rate": 2, "steps": 100},
        {"rate": 1, "steps": 100},
        {"rate": 3, "steps": 100},
        {"rate": 3, "steps": 200},  # from the best rate on
    ]
    assert [trial.factor for trial in trials["full"]] == ["", "rate", "rate", "steps"]
    assert {name: len(own) for name, own in trials.items()} == {name: design.trials for name, design in DESIGN.items()}
    assert {seeds for _, seeds in surface.asked} == {SEARCHED}
    assert [len(recipes) for recipes, _ in surface.asked] == [2, 3, 1]  # all strategies' trials of a factor together


def test_equal_scores_are_told_apart_by_the_loss_and_then_by_the_order():
    losses = {1: 0.2, 2: 0.5, 3: 0.2}
    surface = Surface(lambda recipe: 0.9, lambda recipe: losses[recipe.get("rate", 2)])
    outcomes = confirm(DESIGN, search(DESIGN, surface), surface)
    assert outcomes["full"].found == {"rate": 1, "steps": 100}
    assert outcomes["probe"].found == {"levels": 1}


def test_what_is_better_by_more_than_noise_is_kept():
    surface = Surface(value, noise=0.001)
    outcomes = confirm(DESIGN, search(DESIGN, surface), surface)
    assert outcomes["full"].kept == outcomes["full"].found == {"rate": 3, "steps": 200}
    assert outcomes["full"].gain.estimate == pytest.approx(0.2, abs=0.005)
    assert surface.asked[-1][1] == CONFIRMED


def test_what_the_search_finds_in_noise_is_not_kept():
    """The best of several equal recipes looks better; on fresh draws it is not."""
    kept = 0
    for seed in range(200):
        surface = Surface(lambda recipe: 0.9, noise=0.05)
        surface.random = np.random.default_rng(seed)
        outcomes = confirm(DESIGN, search(DESIGN, surface), surface)
        kept += outcomes["full"].kept != DESIGN["full"].start
    assert kept <= 12  # 2.5% of 200, and three standard errors


def test_where_the_search_ends_where_it_began_nothing_is_run_again():
    surface = Surface(lambda recipe: -value(recipe))
    design = {"probe": DESIGN["probe"]}
    outcome = confirm(design, search(design, surface), surface)["probe"]
    assert (outcome.gain, outcome.loss, outcome.kept) == (None, None, {"levels": 1})
    assert surface.asked[-1] == ([], CONFIRMED)


def test_what_is_ahead_by_no_more_than_the_margin_is_not_confirmed():
    surface = Surface(lambda recipe: 0.9 + (0.999 * MARGIN if recipe == {"levels": 2} else 0.0))
    design = {"probe": DESIGN["probe"]}
    outcome = confirm(design, search(design, surface), surface)["probe"]
    assert (outcome.found, outcome.gain, outcome.kept) == ({"levels": 2}, None, {"levels": 1})
    assert MARGIN == 0.01


def test_of_one_pair_the_interval_is_the_paired_t_tests():
    ours, theirs = np.random.default_rng(0).normal(size=(2, 1, 8))
    found = mean_difference(ours, theirs)
    expected = ttest_rel(ours[0], theirs[0]).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_pairs_that_differ_from_each_other_do_not_widen_it():
    """It speaks of these pairs: only the draws of labels are random."""
    ours = np.array([[0.1, 0.1, 0.1], [0.5, 0.5, 0.5]])
    found = mean_difference(ours, np.zeros((2, 3)))
    assert (found.estimate, found.low, found.high) == pytest.approx((0.3, 0.3, 0.3))


def test_scratch_gets_as_many_trials_as_the_best_tuned_and_the_draws_are_apart():
    assert DESIGNS["scratch"].trials == max(design.trials for design in DESIGNS.values())
    assert not set(SEARCHED) & set(CONFIRMED)


@pytest.mark.parametrize("name", DESIGNS)
def test_a_design_names_knobs_and_begins_inside_its_own_grid(name):
    design, recipe = DESIGNS[name], Settings().recipe(name)
    knobs = {*type(recipe).model_fields} | ({"levels"} if name == "linear_probe" else set())
    assert set(design.start) <= knobs
    for factor, values in design.factors:
        assert design.start[factor] in values
        assert len(set(values)) == len(values) > 1


def test_every_strategy_has_a_design_but_the_source_as_it_is():
    without = {entry.name for entry in STRATEGIES if entry.needs_attributes or entry.needs_unseen}  # `make attributes`
    without |= {entry.name for entry in STRATEGIES if not entry.takes("image")}
    assert set(DESIGNS) == {*STRATEGIES.names()} - {"source"} - without
