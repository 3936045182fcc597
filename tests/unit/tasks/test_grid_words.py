"""The log line of a finished cell: which, how good, how long."""

import logging
import re
from dataclasses import replace

import pytest

from headstart.cells.grid import headline_jobs
from tasks import grid
from tasks.devices import Device
from tasks.progress import Pace
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


def test_cells_say_how_good_they_are_and_how_long_they_took(context, domain, tmp_path, caplog):
    places = replace(domain.places, cells=tmp_path / "cells")
    jobs = headline_jobs(domain.settings, "full", places, {"target": domain.target})
    with caplog.at_level(logging.INFO, logger="headstart"):
        assert len(grid.run_cells(context, jobs, what="full")) == 2
    first, last = caplog.messages
    cell = r"cell \d/2: full, 4 labels a class, seed \d: validation accuracy \d\.\d\d\d in \d+\.\d s"
    assert re.fullmatch(cell, first)  # one short cell does not tell how long the others take
    assert re.fullmatch(cell, last)
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="headstart"):
        grid.run_cells(context, jobs, what="full")
    assert caplog.messages == ["2 of 2 cells are finished already"]


def test_progress_is_of_the_step_whatever_cells_it_has(context, domain, tmp_path):
    """As select has, whose cells are of two strategies: one bar, and one artifact in Prefect."""
    shown = []
    context = replace(context, progress=lambda *said: shown.append(said))
    places = replace(domain.places, cells=tmp_path / "cells")
    jobs = [
        headline_jobs(domain.settings, name, places, {"target": domain.target})[0] for name in ("full", "linear_probe")
    ]
    grid.run_cells(context, jobs, what="select: further cells")
    assert shown == [("select: further cells", 1, 2), ("select: further cells", 2, 2)]


def test_many_cells_that_take_no_time_are_a_few_lines(context, domain, tmp_path, caplog, monkeypatch):
    """The work is real, the clock is not: forty cells of a second each, of which the training is a tenth."""
    now = iter(range(1000))
    monkeypatch.setattr(grid, "Pace", lambda workers: Pace(workers=1, clock=lambda: now_is[0]))
    now_is = [0.0]
    job = headline_jobs(domain.settings, "linear_probe", domain.places, {"target": domain.target})[0]

    def run(context, jobs):
        for each in list(jobs):
            now_is[0] = float(next(now))
            yield each, {"validation_score": 0.5, "train_score": 0.5, "seconds": 0.1}

    monkeypatch.setattr(grid, "_run", run)
    monkeypatch.setattr(grid, "is_finished", lambda job: False)
    monkeypatch.setattr(grid, "read_summary", lambda job: {})
    jobs = [replace(job, seed=seed) for seed in range(40)]
    with caplog.at_level(logging.INFO, logger="headstart"):
        grid.run_cells(context, jobs, what="linear_probe")
    assert [line.partition(":")[0] for line in caplog.messages] == [
        "cell 1/40",
        *(f"cell {number}/40" for number in range(6, 40, 5)),
        "cell 40/40",
    ]
    left = [line.rpartition(", ")[2] for line in caplog.messages]
    assert left[1:4] == ["about 35 s left", "about 30 s left", "about 25 s left"]
    assert "left" not in left[0] + left[-1]
