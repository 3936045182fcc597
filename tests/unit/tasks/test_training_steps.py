"""Which steps and which cells are trained over several devices."""

from pathlib import Path

import pytest

from headstart.cells.grid import Places, budget_jobs
from headstart.settings import validate
from headstart.strategies.settings import TuneRecipe
from headstart.strategies.table import STRATEGIES
from tasks.devices import Device
from tasks.step import STEPS, Context
from tasks.workspace import Workspace

SEVERAL = validate({"devices": 3, "target": {"data": "digits"}}, where="test")
TRAINING = {"pretrain", "finetune", "remedy", "select"}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_that_trains_takes_all_devices_and_the_others_one_or_none(name):
    step = STEPS[name]
    assert step.device_count(SEVERAL) == (3 if name in TRAINING else int(step.needs_device))
    assert step.device_count(validate({}, where="test")) == int(step.needs_device)


@pytest.mark.parametrize("strategy", STRATEGIES.names())
def test_cells_are_trained_over_them_where_there_are_gradients(strategy):
    places = Places(*[Path("/nowhere")] * 5)
    jobs = budget_jobs(SEVERAL, strategy, 5, places, {})
    trained = isinstance(SEVERAL.recipe(strategy), TuneRecipe)
    assert {job.devices for job in jobs} == {3 if trained else 1}


def test_a_context_names_them_for_torch():
    first, *others = (Device("cuda", number, "GPU") for number in range(3))
    context = Context(
        workspace=Workspace(Path("/nowhere")),
        settings=SEVERAL,
        device=first,
        metrics=lambda values, number: None,
        progress=lambda what, done, of: None,
        code=str,
        beside=tuple(others),
    )
    assert context.devices == ["cuda:0", "cuda:1", "cuda:2"]
