"""frozen_blocks: what extract did not write is computed in the cell, and comes to the same."""

from dataclasses import replace

import numpy as np
import torch

from headstart.cells.cell import Cell
from headstart.cells.run import read_summary, run_cell
from headstart.cells.ways import Way, way_jobs
from headstart.strategies.frozen_blocks import _computed, _read
from headstart.training.accelerator import Accelerator
from headstart.training.weights import read_weights


def cell(domain, **changes) -> Cell:
    return Cell(domain.job("frozen_blocks", **changes), Accelerator())


def test_what_is_computed_is_what_extract_wrote(domain):
    given = cell(domain)
    read, computed = (rows(given, given.train_rows) for rows in (_read, _computed))
    np.testing.assert_allclose(computed.activations, read.activations, rtol=1e-5, atol=1e-6)


def test_as_many_views_of_each_row_each_another(domain):
    given = cell(domain)
    computed = _computed(given, given.train_rows, augmented=True)
    assert computed.views.shape == _read(given, given.train_rows, augmented=True).views.shape
    assert len(np.unique(computed.views.reshape(len(given.train_rows) * 2, -1), axis=0)) == 2 * len(given.train_rows)
    again = _computed(given, given.train_rows, augmented=True)
    assert np.array_equal(computed.views, again.views)


def test_no_rows_are_no_activations(domain):
    given = cell(domain)
    assert len(_computed(given, given.test_rows[:0])) == 0


def test_another_depth_fixes_that_many_blocks(domain, tmp_path):
    way = Way("frozen_blocks", altered="1_fixed", changes={"fixed_blocks": 1})
    job = way_jobs(domain.settings, way, 4, domain.places, {}, snapshots=False)[0]
    job = replace(job, cells=str(tmp_path))
    run_cell(job, Accelerator())
    _, before = read_weights(domain.places.weights)
    _, after = read_weights(job.directory)
    moved = {
        key.split(".")[1] for key in after if key.startswith("blocks.") and not torch.equal(before[key], after[key])
    }
    assert moved == {"1", "2", "3"}
    own = replace(domain.job("frozen_blocks"), cells=str(tmp_path))
    run_cell(own, Accelerator())
    assert read_summary(job)["compute"] > read_summary(own)["compute"], "fewer fixed blocks are more to train"


def test_a_refit_on_all_rows_predicts_none(domain, tmp_path):
    way = Way("frozen_blocks", altered="1_fixed", changes={"fixed_blocks": 1})
    job = way_jobs(domain.settings, way, 4, domain.places, {}, snapshots=False)[0]
    job = replace(job, cells=str(tmp_path), fold=-1, label_budget=0, stride=0, variant="refit")
    run_cell(job, Accelerator())
    assert read_summary(job)["validation_score"] >= 0
