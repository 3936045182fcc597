"""The page of cells an hour: its ratios are to one local process, and what it has been measured on is in it."""

from benchmarks.ray.__main__ import _local
from benchmarks.ray.page import draw, page

DOCUMENT = {
    "command": "make bench-ray",
    "machine": "a CPU x2",
    "cores": 2,
    "rounds": 2,
    "rows": [
        {
            "way": way,
            "workers": workers,
            "cells": 12,
            "seconds": 12 * 3600 / per_hour,
            "start": 3.0,
            "cells_per_hour": per_hour,
            "load": 0.4,
        }
        for way, workers, per_hour in (
            ("local processes", 1, 1000),
            ("Ray", 1, 900),
            ("local processes", 2, 1950),
            ("Ray", 2, 1800),
        )
    ],
}


def test_its_table_is_against_one_local_process():
    text = page(DOCUMENT)
    assert "| 1 | local processes | 1,000 | 1.00 | 43.2 s | 3.0 s | 0.4 |" in text
    assert "| 2 | Ray | 1,800 | 1.80 | 24.0 s | 3.0 s | 0.4 |" in text
    assert "12 fine-tunings" in text
    assert "a CPU x2" in text
    assert "has 2 cores" in text


def test_a_machine_that_was_not_quiet_is_said_to_have_been():
    assert "Not a quiet machine" not in page(DOCUMENT)
    busy = [row | {"load": 7.5} for row in DOCUMENT["rows"]]
    assert "**Not a quiet machine**: the load average was up to 6.5 above" in page(DOCUMENT | {"rows": busy})


def test_it_is_drawn_twice_as_the_same_picture(tmp_path):
    for name in ("one.png", "two.png"):
        draw(DOCUMENT, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert (tmp_path / "one.png").stat().st_size > 5000


def test_local_processes_start_as_a_runs_workers_do():
    """The measurement itself needs a cluster; this is the part of it that needs none."""
    with _local(1) as run:
        assert run([]) == []
