"""What is delivered beside the weights: a domain of the rows that were fitted, its threshold from others."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headstart.cells.cell import Cell
from headstart.cells.job import ALL_ROWS
from headstart.datasets.pack import POOL, TEST
from headstart.prediction import load
from headstart.prediction.domain import read_domain
from headstart.storage.publish import verify
from headstart.strategies.table import STRATEGIES
from headstart.training.accelerator import Accelerator
from tasks.deliver import unfitted_rows

STRATEGY_FILES = Path(__file__).parents[3] / "headstart" / "strategies"
KINDS = {"network": "full", "probe": "linear_probe", "means": "nearest_mean", "neighbours": "knn"}


@pytest.fixture(scope="module", params=KINDS)
def delivered(request, publish):
    """A strategy's folder as finetune publishes it, and its cell."""
    folder, job = publish(KINDS[request.param])
    model = load(folder)
    assert model.card.kind == request.param
    return folder, model, Cell(job, Accelerator())


def test_every_kind_of_model_says_how_far_a_row_is(delivered, domain):
    folder, model, cell = delivered
    assert {"domain.safetensors", "domain.json", "speed.json"} <= verify(folder).keys()
    own = model.predict(cell.stored(cell.train_rows))
    assert own["distance"].max() < 0.05
    test = model.predict(domain.pack.inputs[domain.pack.rows(TEST)])
    noise = model.predict(np.random.default_rng(0).integers(0, 256, (50, 1, 12, 12), dtype=np.uint8))
    assert test["out_of_domain"].mean() < 0.3
    assert noise["out_of_domain"].mean() > 0.8


def test_the_threshold_is_that_of_the_rows_that_were_not_fitted(delivered):
    folder, model, cell = delivered
    rows, found = unfitted_rows(cell), read_domain(folder)
    assert found.calibrated_on == len(rows)
    assert len(found.rows) == len(cell.train_rows)
    flagged = model.predict(cell.stored(rows))["out_of_domain"].mean()
    assert flagged <= found.rate
    assert found.rate == pytest.approx(max(0.05, 1 / (len(rows) + 1)))


def test_rows_that_were_not_fitted_are_of_the_pool_and_not_of_a_group_that_was(domain, monkeypatch):
    cell = Cell(domain.job("full"), Accelerator())
    rows = set(unfitted_rows(cell))
    pool = set(domain.pack.rows(POOL))
    assert rows == pool - set(cell.train_rows)
    beside = min(rows)
    groups = cell.pack.examples["group"].copy()
    groups.iloc[beside] = groups.iloc[cell.train_rows[0]]
    cell.pack.examples["group"] = groups
    assert set(unfitted_rows(cell)) == rows - {beside}
    cell.pack.examples["group"] = "all of one"
    assert set(unfitted_rows(cell)) == rows


def test_of_a_strategy_that_learns_from_unlabelled_rows_they_are_the_validation_rows(domain):
    cell = Cell(domain.job("fixmatch"), Accelerator())
    assert unfitted_rows(cell).tolist() == sorted(cell.validation_rows)


def test_of_a_cell_that_was_trained_on_all_labelled_rows_they_are_its_validation_rows(domain):
    cell = Cell(replace(domain.job("full"), fold=ALL_ROWS), Accelerator())
    assert unfitted_rows(cell).tolist() == sorted(cell.validation_rows)


@pytest.mark.parametrize("entry", STRATEGIES.listing(), ids=lambda entry: entry.name)
def test_the_table_says_which_strategies_learn_from_unlabelled_rows(entry):
    text = (STRATEGY_FILES / f"{entry.name}.py").read_text()
    assert entry.learns_unlabelled == ("unlabelled" in text)
