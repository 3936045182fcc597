"""frozen_blocks: what extract did not write is computed in the cell, and comes to the same."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from headstart.cells.cell import Cell
from headstart.cells.run import read_summary, run_cell
from headstart.cells.ways import Way, way_jobs
from headstart.errors import IntegrityError
from headstart.features.boundary import BoundaryRows
from headstart.features.files import BOUNDARY, POOLED
from headstart.storage.publish import publishing
from headstart.strategies import frozen_blocks
from headstart.strategies.frozen_blocks import _computed, _read, fit
from headstart.training.accelerator import Accelerator
from headstart.training.flops import forward_flops, training_flops
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


def test_without_kept_activations_a_cell_computes_its_own(domain, tmp_path):
    features = tmp_path / "features"
    with publishing(features) as draft:
        (draft / POOLED).write_bytes(b"")
    given = cell(domain, features=str(features))
    assert not given.has_features(BOUNDARY)
    kept = [snapshot.test for snapshot in fit(cell(domain)).snapshots]
    computed = [snapshot.test for snapshot in fit(given).snapshots]
    assert [found.shape for found in computed] == [found.shape for found in kept]
    assert all(float((a - b).abs().max()) < 0.5 for a, b in zip(kept, computed, strict=True))  # other views of the rows


def test_what_is_too_much_for_memory_is_computed_batch_by_batch(domain, monkeypatch):
    changes = {"boundary": 0}
    given = cell(domain, **changes)
    plain = _computed(given, given.test_rows)
    monkeypatch.setattr(frozen_blocks, "IN_MEMORY", 0)
    rows = _computed(given, given.test_rows, keep=False)
    assert isinstance(rows, BoundaryRows)
    every = torch.arange(len(rows))
    assert torch.allclose(rows.plain(every), plain.plain(every), atol=1e-5)
    augmented = _computed(given, given.train_rows, augmented=True, keep=False)
    draw = [augmented.batch(torch.arange(4), torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(draw[0], draw[1])
    assert not torch.equal(draw[0], draw[2])
    recipe = given.recipe
    fitted = fit(given)
    assert torch.isfinite(fitted.train).all()
    looked = recipe.steps * min(recipe.batch_size, len(given.train_rows)) * len(recipe.learning_rates)
    expected = forward_flops(given.flops, examples=looked, stop=recipe.fixed_blocks)
    trained = training_flops(given.flops, examples=looked // len(recipe.learning_rates), boundary=recipe.fixed_blocks)
    assert fitted.compute == pytest.approx(expected + trained)


def test_a_kept_file_that_is_gone_is_an_error_and_not_another_result(domain, tmp_path):
    features = tmp_path / "features"
    shutil.copytree(domain.places.features, features)
    (features / BOUNDARY).unlink()
    with pytest.raises(IntegrityError, match=BOUNDARY):
        fit(cell(domain, features=str(features)))
