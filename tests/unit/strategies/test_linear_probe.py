"""linear_probe: what extract wrote is what it is solved on, with no training."""

import numpy as np
import pytest
import torch

from headstart.cells.cell import Cell
from headstart.cells.ridge import ridge, ridge_flops
from headstart.cells.run import run_cell
from headstart.objectives import classification
from headstart.training.accelerator import Accelerator
from headstart.training.flops import forward_flops


def test_it_reads_the_features_and_needs_no_training(domain, tmp_path):
    """Changed features change the predictions: what extract wrote is what is used."""
    job = domain.job("linear_probe", cells=str(tmp_path / "cells"))
    cell = Cell(job, Accelerator())
    pooled = torch.from_numpy(np.array(np.load(f"{job.features}/pooled.npy"))).double()
    recipe = domain.settings.recipe("linear_probe")
    targets = classification.ridge_targets(cell.train_labels, 3)
    weight, bias, out = ridge(
        pooled[cell.train_rows], targets, smallest=recipe.smallest_penalty, largest=recipe.largest_penalty
    )
    temperature = classification.calibrate(out, cell.train_labels)
    expected = torch.softmax((pooled[cell.test_rows] @ weight.T + bias) / temperature, 1)
    summary = run_cell(job, Accelerator())
    assert summary["learning_rate"] is None
    assert summary["compute"] == forward_flops(cell.flops, examples=9) + ridge_flops(9, 96, outputs=3)
    found = _probabilities(job)
    assert found == pytest.approx(expected.numpy(), abs=1e-6)


def _probabilities(job) -> np.ndarray:
    import pandas as pd

    return np.stack(pd.read_parquet(job.directory / "predictions.parquet")["probabilities"])
