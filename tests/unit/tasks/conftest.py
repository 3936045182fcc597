"""A strategy as finetune publishes it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from headstart.cells.job import Job
from headstart.cells.run import run_cell
from headstart.training.accelerator import Accelerator
from tasks.deliver import deliver
from tasks.devices import Device
from tasks.step import Context
from tasks.workspace import Workspace


@pytest.fixture(scope="session")
def publish(domain, tmp_path_factory) -> Callable[[str], tuple[Path, Job]]:
    """Trains and publishes a strategy's cell; gives the folder and the cell."""

    def publishing(strategy: str) -> tuple[Path, Job]:
        job = domain.job(strategy, cells=str(tmp_path_factory.mktemp("cells")))
        summary = run_cell(job, Accelerator())
        context = Context(
            workspace=Workspace(domain.root),
            settings=domain.settings,
            device=Device("cpu", 0, "CPU"),
            metrics=lambda values, number: None,
            progress=lambda what, done, of: None,
            code=str,
        )
        folder = tmp_path_factory.mktemp("models") / strategy
        deliver(context, folder, [job], [summary])
        return folder, job

    return publishing
