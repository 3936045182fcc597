"""The grid: which cells there are, and how long the control's variants train."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.cells.grid import Places, at_steps, budget_jobs, cells_table, equal_compute_jobs, headline_jobs
from headstart.settings import Settings, validate

PLACES = Places(*(Path("/x") / name for name in ("pack", "weights", "features", "source_features", "cells")))
INPUTS = {"pack": "digest"}


def jobs(strategy: str, **finetune):
    return headline_jobs(validate({"finetune": finetune}, where="test"), strategy, PLACES, INPUTS)


@pytest.mark.parametrize("strategy", ["source", "linear_probe", "frozen_blocks", "full"])
def test_a_strategy_has_one_cell_a_seed(strategy):
    found = jobs(strategy, seeds=3)
    assert [(job.strategy, job.variant, job.label_budget, job.seed) for job in found] == [
        (strategy, "", 10, 0),
        (strategy, "", 10, 1),
        (strategy, "", 10, 2),
    ]
    assert all(job.snapshots for job in found)


def test_the_control_is_trained_with_half_its_steps_too():
    """To see whether it still improves (evaluation/control.py)."""
    found = jobs("scratch", seeds=2)
    assert [(job.variant, job.seed, job.recipe.steps, job.snapshots) for job in found] == [
        ("", 0, 600, True),
        ("", 1, 600, True),
        ("half_steps", 0, 300, False),
        ("half_steps", 1, 300, False),
    ]


def test_a_job_is_made_from_the_settings():
    settings = validate({"seed": 7, "backbone": "resnet14", "finetune": {"validation_fraction": 0.3}}, where="test")
    job = headline_jobs(settings, "linear_probe", PLACES, INPUTS)[0]
    assert (job.run_seed, job.backbone, job.validation_fraction) == (7, "resnet14", 0.3)
    assert job.recipe == settings.strategies.linear_probe
    assert (job.pack, job.weights, job.cells) == ("/x/pack", "/x/weights", "/x/cells")
    assert (job.features, job.source_features) == ("/x/features", "/x/source_features")
    assert job.inputs == INPUTS


@pytest.mark.parametrize(("strategy", "levels"), [("source", 3), ("linear_probe", 3), ("full", 0), ("scratch", 0)])
def test_levels_are_part_of_what_reads_them_alone(strategy, levels):
    settings = validate({"extract": {"levels": 3}}, where="test")
    assert {job.levels for job in headline_jobs(settings, strategy, PLACES, INPUTS)} == {levels}


@pytest.mark.parametrize(
    ("label_budget", "curve_budgets", "stride"), [(10, [5, 20], 20), (10, [5], 10), (4, [], 4), (2, [3, 9], 9)]
)
def test_each_seed_owns_as_many_rows_as_the_largest_budget_needs(label_budget, curve_budgets, stride):
    found = jobs("full", label_budget=label_budget, curve_budgets=curve_budgets)
    assert {job.stride for job in found} == {stride}


def test_one_more_seed_leaves_the_cells_before_it():
    few, more = ([job.key for job in jobs("full", seeds=seeds)] for seeds in (3, 4))
    assert more[:3] == few


def test_cells_of_the_curve_are_not_predicted_on_the_way():
    found = budget_jobs(Settings(), "full", 5, PLACES, INPUTS)
    assert [(job.label_budget, job.seed, job.snapshots, job.variant) for job in found] == [
        (5, seed, False, "") for seed in range(5)
    ]


@pytest.mark.parametrize(
    ("control", "chosen", "steps"),
    [
        (600.0, 200.0, 200),  # a third of the compute is a third of the steps
        (600.0, 100.4, 100),
        (600.0, 100.6, 101),
        (600.0, 600.0, 600),
        (600.0, 9000.0, 600),  # never longer than the control itself
        (600.0, 0.0, 1),  # a closed form takes nearly nothing; one step is the least there is
        (600.0, 0.3, 1),
    ],
)
def test_equal_compute_is_a_share_of_the_steps(control, chosen, steps):
    headline = [job for job in jobs("scratch", seeds=2) if not job.variant]
    found = equal_compute_jobs(headline, control=control, chosen=chosen)
    assert [(job.variant, job.seed, job.recipe.steps) for job in found] == [
        ("equal_compute", 0, steps),
        ("equal_compute", 1, steps),
    ]


@given(st.integers(4, 2000), st.floats(1e-6, 1e6), st.floats(0, 1e6))
def test_equal_compute_is_within_half_a_step_or_at_a_bound(steps, control, chosen):
    headline = [at_steps(jobs("scratch", seeds=1)[0], "", steps)]
    [job] = equal_compute_jobs(headline, control=control, chosen=chosen)
    exact = steps * chosen / control
    assert 1 <= job.recipe.steps <= steps
    assert abs(job.recipe.steps - exact) <= 0.5 + 1e-9 * exact or job.recipe.steps in (1, steps)


def test_another_length_that_is_the_same_is_the_same_cell():
    """Equal compute of half the steps finds the half-steps cell finished."""
    job = jobs("scratch", seeds=1)[0]
    assert at_steps(job, "equal_compute", 300).key == at_steps(job, "half_steps", 300).key
    assert at_steps(job, "equal_compute", 301).key != at_steps(job, "half_steps", 300).key
    assert at_steps(job, "half_steps", 0).recipe.steps == 1


def test_the_table_has_a_row_a_cell():
    found = jobs("scratch", seeds=1)
    summaries = [{"validation_score": 0.5, "labelled": ["a", "b", "c"]}, {"validation_score": 0.25, "labelled": ["a"]}]
    assert cells_table(found, summaries).to_dict("list") == {
        "strategy": ["scratch", "scratch"],
        "variant": ["", "half_steps"],
        "label_budget": [10, 10],
        "seed": [0, 0],
        "validation_score": [0.5, 0.25],
        "labels": [3, 1],
    }
