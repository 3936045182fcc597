"""A job's key: it changes with all that a cell's bytes follow from, and with nothing else."""

import pickle
from dataclasses import fields, replace

import pytest

from headstart.cells.job import Job
from headstart.strategies.settings import FrozenRecipe, TuneRecipe

JOB = Job(
    strategy="scratch",
    variant="",
    label_budget=10,
    seed=0,
    run_seed=0,
    stride=20,
    validation_fraction=0.2,
    backbone="resnet8",
    recipe=TuneRecipe(),
    pack="/here/packs/set",
    weights="/here/models/w",
    features="/here/features/set",
    source_features="/here/features/w",
    cells="/here/cells",
    levels=0,
    inputs={"pack": "a", "reads": {"weights": "b"}, "code": "c"},
    snapshots=True,
)
MATTERS = {
    "strategy": "full",
    "label_budget": 5,
    "seed": 1,
    "run_seed": 1,
    "stride": 10,
    "validation_fraction": 0.3,
    "backbone": "resnet14",
    "levels": 2,
    "interval_level": 0.8,
    "snapshots": False,
    "fold": 0,
    "unseen": ("cat",),
    "devices": 2,
    "precision": "float32",
}
DOES_NOT = {
    "variant": "half_steps",
    "pack": "/p",
    "weights": "/w",
    "features": "/f",
    "source_features": "/s",
    "cells": "/c",
    "kind": "value",
    "source": "another",
    "source_pack": "/r",
    "boundary": 3,
    "views": 5,
    "altered": "1_fixed",
}


@pytest.mark.parametrize("field", MATTERS)
def test_the_key_changes_with(field):
    assert replace(JOB, **{field: MATTERS[field]}).key != JOB.key


@pytest.mark.parametrize("field", DOES_NOT)
def test_the_key_does_not_change_with(field):
    """A worktree elsewhere finds the cells again, and half of 600 steps is the cell of 300 steps."""
    assert replace(JOB, **{field: DOES_NOT[field]}).key == JOB.key


def test_classes_that_none_does_without_leave_the_key_as_it_was():
    """Cells of before there were any are found again; their order has no say."""
    assert replace(JOB, unseen=("a", "b")).key == replace(JOB, unseen=("b", "a")).key
    assert replace(JOB, unseen=()).key == JOB.key


@pytest.mark.parametrize(
    "inputs",
    [
        {"pack": "x", "reads": {"weights": "b"}, "code": "c"},
        {"pack": "a", "reads": {"weights": "x"}, "code": "c"},
        {"pack": "a", "reads": {}, "code": "c"},
        {"pack": "a", "reads": {"weights": "b"}, "code": "x"},
    ],
)
def test_the_key_changes_with_each_input(inputs):
    assert replace(JOB, inputs=inputs).key != JOB.key


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 300},
        {"learning_rates": (0.02,)},
        {"learning_rates": (0.01, 0.02)},
        {"batch_size": 16},
        {"weight_decay": 0.1},
        {"warmup": 0.1},
        {"augment": False},
    ],
)
def test_the_key_changes_with_each_knob_of_the_recipe(change):
    assert replace(JOB, recipe=TuneRecipe(**change)).key != JOB.key


def test_a_knob_that_another_recipe_has_too_is_not_the_same_cell():
    assert replace(JOB, recipe=FrozenRecipe(fixed_blocks=1)).key != replace(JOB, recipe=FrozenRecipe()).key


def test_no_field_was_forgotten():
    assert {field.name for field in fields(Job)} == {*MATTERS, *DOES_NOT, "recipe", "inputs"}


def test_the_key_is_the_same_in_every_process():
    assert JOB.key == pickle.loads(pickle.dumps(JOB)).key
    assert len(JOB.key) == 64


def test_its_place_and_name():
    assert JOB.directory.as_posix() == f"/here/cells/{JOB.key}"
    assert JOB.name == "scratch, 10 labels a class, seed 0"
    assert replace(JOB, kind="value").name == "scratch, 10 labels, seed 0"


def test_where_there_are_several_sources_its_names_say_which():
    job = replace(JOB, strategy="full", source="mnist5k")
    assert job.entrant == "full@mnist5k"
    assert job.name == "full from mnist5k, 10 labels a class, seed 0"
    altered = replace(JOB, strategy="frozen_blocks", altered="1_fixed", source="mnist5k")
    assert altered.entrant == "frozen_blocks:1_fixed@mnist5k"
    assert altered.name == "frozen_blocks, 1 fixed from mnist5k, 10 labels a class, seed 0"
    assert replace(JOB, variant="half_steps", seed=3).name == "scratch (half steps), 10 labels a class, seed 3"
