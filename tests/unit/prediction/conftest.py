"""A delivered model to predict with."""

import pytest

from headstart.cells.run import run_cell
from headstart.prediction import Model, load
from headstart.training.accelerator import Accelerator


@pytest.fixture(scope="module")
def model(domain, tmp_path_factory) -> Model:
    job = domain.job("linear_probe", cells=str(tmp_path_factory.mktemp("cells")))
    run_cell(job, Accelerator())
    return load(job.directory)
