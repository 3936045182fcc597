"""On a CUDA device: W and a cell of each strategy are finite and of the structure that a CPU gives; what it used."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from headstart.cells.grid import Places, headline_jobs
from headstart.cells.run import run_cell
from headstart.datasets.pack import Card, Pack, write_pack
from headstart.features.extract import extract
from headstart.prediction import load
from headstart.settings import validate
from headstart.strategies.table import STRATEGIES
from headstart.training.accelerator import Accelerator
from headstart.training.checkpoint import Checkpoints
from headstart.training.pretrain import pretrain
from headstart.training.weights import read_weights
from tasks.devices import available, describe, lease, measure

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.filterwarnings("default"),  # operations without a deterministic version warn, once
]

OF_IMAGES = [entry.name for entry in STRATEGIES if entry.takes("image")]
CUDA = "cuda:0"
SETTINGS = {
    "source": {"data": ["source"]},
    "target": {"data": "target"},
    "built_in": [],
    "data": {"image_size": 12, "smallest_test": 0},
    "pretrain": {"epochs": 2, "batch_size": 16},
    "extract": {"views": 2},
    "finetune": {"label_budget": 4, "curve_budgets": [2], "seeds": 1},
    "strategies": {"scratch": {"steps": 8}, "frozen_blocks": {"steps": 8}, "full": {"steps": 8}, "lp_ft": {"steps": 8}},
}


def stripes(directory: Path, *, test: int, seed: int) -> Pack:
    """Noisy stripes, lying and standing: 40 rows of each, the first `test` of each for the test."""
    draw = np.random.default_rng(seed)
    lying = np.tile(np.array([0, 0, 200, 200], np.uint8).repeat(12).reshape(4, 12), (3, 1))
    images = np.stack([lying if row < 40 else lying.T for row in range(80)])
    images = (images + draw.integers(0, 55, images.shape)).astype(np.uint8)[:, None]
    labels = ["lying"] * 40 + ["standing"] * 40
    ids = [f"{seed}-{row}" for row in range(80)]
    split = ["test" if row % 40 < test else "pool" for row in range(80)]
    card = Card(
        name=directory.name,
        classes=("lying", "standing"),
        counts={name: 40 - test for name in ("lying", "standing")},
        splits={"pool": 80 - 2 * test, "test": 2 * test},
        rejected={},
        duplicates=0,
        removed_overlap=0,
        modality="image",
        channels=1,
        size=(12, 12),
        preparation={"image_size": 12, "channels": 1},
        mean=(float(images.mean() / 255),),
        std=(float(images.std() / 255),),
    )
    examples = pd.DataFrame({"id": ids, "path": ids, "label": labels, "split": split, "group": ids})
    rejected = pd.DataFrame(columns=["path", "reason"])
    write_pack(directory, card=card, examples=examples, inputs=images, rejected=rejected)
    return Pack(directory)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """By kind of device: the folder of W and the jobs of all strategies, run."""
    root = tmp_path_factory.mktemp("gpu")
    settings = validate(SETTINGS, where="test")
    source = stripes(root / "packs" / "source", test=0, seed=1)
    target = stripes(root / "packs" / "target", test=10, seed=2)
    found = {}
    for kind, device in (("cpu", "cpu"), ("gpu", CUDA)):
        accelerator = Accelerator(device)
        accelerator.start()
        own = root / kind
        places = Places(target.directory, own / "weights", own / "features", own / "source_features", own / "cells")
        pretrain(
            source,
            places.weights,
            backbone="resnet8",
            settings=settings.pretrain,
            seed=0,
            accelerator=accelerator,
            checkpoints=Checkpoints(own / "checkpoints"),
            log=lambda *_: None,
        )
        extract(
            source,
            target,
            weights=places.weights,
            directories=(places.source_features, places.features),
            settings=settings.extract,
            boundary=2,
            seed=0,
            accelerator=accelerator,
            progress=lambda done, of: None,
        )
        jobs = {name: headline_jobs(settings, name, places, {})[0] for name in OF_IMAGES}
        for job in jobs.values():
            run_cell(job, accelerator)
        found[kind] = places, jobs
    return found


def structure(directory: Path) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    _, tensors = read_weights(directory)  # refuses what is not finite
    return {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}


def test_w_is_finite_and_like_the_cpus(runs):
    ours, theirs = (structure(runs[kind][0].weights) for kind in ("gpu", "cpu"))
    assert ours == theirs
    cards = [replace(read_weights(runs[kind][0].weights)[0], flops=0.0) for kind in ("gpu", "cpu")]
    assert cards[0] == cards[1]


def test_features_are_those_of_its_own_w(runs):
    for name in ("pooled.npy", "boundary.npy", "views.npy"):
        ours, theirs = (np.load(runs[kind][0].features / name) for kind in ("gpu", "cpu"))
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
        assert np.isfinite(ours).all()


@pytest.mark.parametrize("strategy", OF_IMAGES)
def test_a_cell_is_finite_and_like_the_cpus(runs, strategy):
    ours, theirs = (runs[kind][1][strategy].directory for kind in ("gpu", "cpu"))
    assert sorted(path.name for path in ours.iterdir()) == sorted(path.name for path in theirs.iterdir())
    assert structure(ours) == structure(theirs)
    tables = [pd.read_parquet(folder / "predictions.parquet") for folder in (ours, theirs)]
    assert tables[0][["progress", "id"]].equals(tables[1][["progress", "id"]])
    probabilities = np.stack(tables[0]["probabilities"])
    assert np.isfinite(probabilities).all()
    assert probabilities.sum(1) == pytest.approx(np.ones(len(probabilities)), abs=1e-5)
    histories = [pd.read_csv(folder / "history.csv") for folder in (ours, theirs)]
    assert histories[0][["step", "split", "metric"]].equals(histories[1][["step", "split", "metric"]])
    assert np.isfinite(histories[0]["value"]).all()


@pytest.mark.parametrize("strategy", OF_IMAGES)
def test_what_it_delivers_predicts_the_same_on_a_cpu(runs, strategy):
    """A model that was trained on a GPU is served without one; TF32 convolutions differ in the third digit."""
    _, jobs = runs["gpu"]
    job = jobs[strategy]
    pack = Pack(Path(job.pack))
    table = pd.read_parquet(job.directory / "predictions.parquet")
    expected = np.stack(table["probabilities"][table["progress"] == 1.0])
    found = load(job.directory).probabilities(pack.inputs[pack.rows("test")])
    assert np.abs(found - expected).max() < 1e-2


def test_devices_are_numbered_and_named():
    found = available()
    assert [device.kind for device in found] == ["cuda"] * torch.cuda.device_count()
    assert [device.index for device in found] == list(range(torch.cuda.device_count()))
    assert found[0].torch_name == CUDA
    assert found[0].name == torch.cuda.get_device_name(0)
    assert found[0].memory_bytes == torch.cuda.get_device_properties(0).total_memory
    assert found[0].identity


def test_a_step_is_told_what_it_used(tmp_path):
    with lease(available(), tmp_path, timeout=5) as device:
        assert describe(available(), tmp_path)[device.index].held_by
        with measure(device) as usage:
            torch.zeros(64, 1024, 1024, dtype=torch.uint8, device=device.torch_name).sum().item()
    assert usage.name == torch.cuda.get_device_name(device.index)
    assert 64 * 2**20 <= usage.peak_memory_bytes < 2**30
    assert usage.seconds > 0
