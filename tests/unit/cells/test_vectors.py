"""Vectors under W: the centre of the source is the mean of its rows, however many are in memory at a time."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from headstart.cells import vectors
from headstart.cells.vectors import centre_of_source

ROWS = np.random.default_rng(0).normal(3.0, 2.0, (1000, 7)).astype(np.float32)


def cell(rows):
    return SimpleNamespace(features=lambda name, of: rows)


def test_a_source_of_one_block_has_the_bytes_of_its_mean():
    assert torch.equal(centre_of_source(cell(ROWS)), torch.from_numpy(ROWS).double().mean(0))


@pytest.mark.parametrize("block", [1, 300, 999])
def test_in_blocks_it_is_the_mean_to_rounding(monkeypatch, block):
    monkeypatch.setattr(vectors, "BLOCK", block)
    assert torch.allclose(centre_of_source(cell(ROWS)), torch.from_numpy(ROWS).double().mean(0), rtol=1e-12, atol=0)


def test_without_rows_it_is_zero():
    assert torch.equal(centre_of_source(cell(ROWS[:0])), torch.zeros(7, dtype=torch.float64))
