"""Every strategy that trains by gradients comes to the same over two processes, to rounding: its terms and all."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from headstart.backbones.network import build
from headstart.cells.grid import headline_jobs
from headstart.cells.run import fit_cell
from headstart.datasets.pack import Pack
from headstart.features.extract import extract
from headstart.strategies.settings import TuneRecipe
from headstart.strategies.table import STRATEGIES
from headstart.training.accelerator import Accelerator, has_batch_norm
from headstart.training.checkpoint import Checkpoints
from headstart.training.pretrain import pretrain
from tasks.ranks import run_ranks

pytestmark = pytest.mark.slow  # the default tier has the loop's own: terms and objectives that are no mean over rows

BACKBONE = "timm:test_efficientnet_gn"  # small, with GroupNorm
NAMES = [entry.name for entry in STRATEGIES if issubclass(entry.recipe, TuneRecipe) and not entry.needs_attributes]


def ignore(*_: object) -> None:
    """Progress that goes nowhere."""


@pytest.fixture(scope="module")
def jobs(domain, tmp_path_factory):
    """By strategy: its first cell, of a W that has no BatchNorm."""
    root = tmp_path_factory.mktemp("two")
    settings = domain.settings.model_copy(update={"backbone": BACKBONE})
    places = replace(
        domain.places, weights=root / "W", features=root / "target", source_features=root / "source", cells=root / "one"
    )
    source, target = Pack(places.source_pack), Pack(places.pack)
    accelerator = Accelerator()
    accelerator.start()
    pretrain(
        source,
        places.weights,
        backbone=BACKBONE,
        settings=settings.pretrain.model_copy(update={"epochs": 1}),
        seed=0,
        accelerator=accelerator,
        checkpoints=Checkpoints(root / "checkpoints"),
        log=ignore,
    )
    extract(
        source,
        target,
        weights=places.weights,
        directories=(places.source_features, places.features),
        settings=settings.extract,
        boundary=settings.recipe("frozen_blocks").fixed_blocks,
        seed=0,
        accelerator=accelerator,
        progress=ignore,
    )
    return {name: headline_jobs(settings, name, places, {})[0] for name in NAMES}


@pytest.fixture(scope="module")
def both(jobs, tmp_path_factory):
    """Weights of each cell: of one process, and of two."""
    elsewhere = str(tmp_path_factory.mktemp("cells"))
    two = {name: replace(job, cells=elsewhere, devices=2) for name, job in jobs.items()}
    for job in jobs.values():
        fit_cell(job, Accelerator())
    list(run_ranks(partial(fit_all, list(two.values())), ["cpu", "cpu"]))
    return {name: (weights(job.directory), weights(two[name].directory)) for name, job in jobs.items()}


def fit_all(jobs, accelerator, tell):
    for job in jobs:
        fit_cell(job, accelerator)


def weights(directory: Path) -> dict[str, np.ndarray]:
    return load_file(directory / "weights.safetensors")


def test_the_backbone_is_one_that_can_be_shared_out_and_all_strategies_are_here():
    assert not has_batch_norm(build(BACKBONE, channels=1, classes=3).train())
    assert {"scratch", "full", "frozen_blocks", "gradual", "joint_supervised", "fixmatch", "rotation"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_come_to_what_one_does(jobs, both, name):
    one, two = both[name]
    assert list(one) == list(two)
    apart = max(float(np.abs(one[key] - two[key]).max()) for key in one)
    start = weights(Path(jobs[name].weights))
    moved = max(float(np.abs(one[key] - start[key]).max()) for key in one if one[key].shape == start[key].shape)
    print(f"{name}: {apart:.1e} of {moved:.1e}")
    assert apart < 0.02 * moved
