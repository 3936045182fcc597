"""The log line of a finished cell: which, how good, how long, and what is left."""

import logging
import re
from dataclasses import replace

import pytest

from headstart.cells.grid import headline_jobs
from tasks import grid
from tasks.devices import Device
from tasks.step import Context
from tasks.workspace import Workspace


@pytest.fixture
def context(domain, tmp_path, monkeypatch) -> Context:
    """Of a CPU, whose cells run in this process here."""

    def run_all(function, items):
        return ((position, function(item)) for position, item in enumerate(items))

    monkeypatch.setattr(grid, "run_all", run_all)
    return Context(
        workspace=Workspace(tmp_path),
        settings=domain.settings,
        device=Device("cpu", 0, "a CPU"),
        metrics=lambda values, number: None,
        progress=lambda what, done, of: None,
        code=lambda name: "",
    )


def test_each_cell_but_the_last_says_what_is_left(context, domain, tmp_path, caplog):
    places = replace(domain.places, cells=tmp_path / "cells")
    jobs = headline_jobs(domain.settings, "full", places, {"target": domain.target})
    with caplog.at_level(logging.INFO, logger="headstart"):
        assert len(grid.run_cells(context, jobs)) == 2
    first, last = caplog.messages
    cell = r"cell \d/2: full, 4 labels a class, seed \d: validation accuracy \d\.\d\d\d in \d+\.\d s"
    assert re.fullmatch(rf"{cell}, about 5 s left", first)
    assert re.fullmatch(cell, last)
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="headstart"):
        grid.run_cells(context, jobs)
    assert caplog.messages == ["2 of 2 cells are finished already"]
