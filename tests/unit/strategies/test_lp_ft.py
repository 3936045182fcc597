"""lp_ft: before a step is taken it is the probe on what a head sees; from there on everything is trained."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from headstart.backbones.network import Network
from headstart.cells.cell import Cell
from headstart.cells.ridge import ridge_flops
from headstart.cells.run import read_summary, run_cell
from headstart.features.files import POOLED
from headstart.storage.publish import write_manifest
from headstart.strategies import linear_probe, lp_ft
from headstart.training.accelerator import Accelerator
from headstart.training.flops import forward_flops, training_flops
from headstart.training.loop import predict
from headstart.training.rows import InputRows

WIDTH = 64  # of resnet8's last block: what its head sees


def start_of(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> Network:
    """The network that training is handed."""
    monkeypatch.setattr(lp_ft, "tune_from_source", lambda cell, start, **_: start())
    network: Network = lp_ft.fit(cell)
    return network


@pytest.fixture
def one_level(domains, tmp_path):
    """Jobs of a strategy whose pooled features are those of the last block alone, as with extract.levels 1."""

    def job(strategy: str, target: str):
        found = domains[target].job(strategy, cells=str(tmp_path / "cells"), levels=1)
        features = tmp_path / target
        features.mkdir(exist_ok=True)
        np.save(features / POOLED, np.load(f"{found.features}/{POOLED}")[:, :WIDTH])
        write_manifest(features)
        return replace(found, features=str(features))

    return job


@pytest.mark.parametrize("target", ["sketches", "symbols"])
def test_before_training_it_says_what_the_probe_on_the_last_level_says(one_level, monkeypatch, target):
    """To the probability, whether or not W knows the classes."""
    probe = linear_probe.fit(Cell(one_level("linear_probe", target), Accelerator()))
    cell = Cell(one_level("lp_ft", target), Accelerator())
    network = start_of(cell, monkeypatch)
    rows = InputRows(cell.stored(cell.test_rows), cell.source_card.normalisation, "image")
    found = predict(network, rows, accelerator=Accelerator(), objective=cell.objective)
    assert torch.allclose(found, probe.snapshots[-1].test, atol=1e-4)
    assert found.max() > 0.5  # and the probe says something


def test_it_reads_of_several_levels_the_one_that_its_head_sees(domain, one_level, monkeypatch):
    several = Cell(domain.job("lp_ft"), Accelerator())
    assert several.features(POOLED).shape[1] > WIDTH
    one = Cell(one_level("lp_ft", domain.target), Accelerator())
    heads = [start_of(cell, monkeypatch).head.weight for cell in (several, one)]
    assert torch.equal(*heads)


def test_its_blocks_start_as_ws(domain, monkeypatch):
    cell = Cell(domain.job("lp_ft"), Accelerator())
    network = start_of(cell, monkeypatch)
    source = cell.source_network.blocks.state_dict()
    assert all(torch.equal(tensor, source[name]) for name, tensor in network.blocks.state_dict().items())


def test_training_from_there_is_the_same_each_time(domain, tmp_path):
    jobs = [domain.job("lp_ft", cells=str(tmp_path / name)) for name in ("once", "again")]
    for job in jobs:
        run_cell(job, Accelerator())
    files = ("predictions.parquet", "history.csv", "weights.safetensors", "card.json")
    assert all(jobs[0].directory.joinpath(f).read_bytes() == jobs[1].directory.joinpath(f).read_bytes() for f in files)


def test_a_rate_of_nearly_nothing_leaves_the_probes_head(domain, tmp_path, monkeypatch):
    """What is trained is that head, and not another one."""
    job = domain.job("lp_ft", cells=str(tmp_path))
    job = replace(job, recipe=job.recipe.model_copy(update={"learning_rates": (1e-9,)}))
    fitted = lp_ft.fit(Cell(job, Accelerator()))
    start = start_of(Cell(job, Accelerator()), monkeypatch)
    assert torch.allclose(fitted.tensors["head.weight"], start.head.weight, atol=1e-6)


def test_each_rate_starts_from_the_same_head(domain, monkeypatch):
    """The probe is solved once; what the first trial does to its network does not reach the second."""
    starts = []

    def twice(cell, start, **_):
        first = start()
        with torch.no_grad():
            first.head.weight.zero_()
            first.blocks[0][0].weight.zero_()
        starts.extend([first, start()])

    monkeypatch.setattr(lp_ft, "tune_from_source", twice)
    lp_ft.fit(Cell(domain.job("lp_ft"), Accelerator()))
    assert starts[1].head.weight.abs().sum() > 0
    assert starts[1].blocks[0][0].weight.abs().sum() > 0


def test_its_compute_is_the_features_the_solution_and_the_training(domain, tmp_path):
    job = domain.job("lp_ft", cells=str(tmp_path))
    cell = Cell(job, Accelerator())
    run_cell(job, Accelerator())
    rows, steps = 9, job.recipe.steps
    expected = forward_flops(cell.flops, examples=rows) + ridge_flops(rows, WIDTH, outputs=3)
    expected += training_flops(cell.flops, examples=steps * rows)
    assert read_summary(job)["compute"] == pytest.approx(expected)
    assert pd.read_csv(job.directory / "history.csv")["step"].max() == steps
