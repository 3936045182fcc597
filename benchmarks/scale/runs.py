"""Runs the points that were not run yet, each in a process of its own, and keeps what they came to.

The processes are forked from a server that has imported everything: imports are not what is measured, and a hundred
times of them would take longer than all else.
"""

import json
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing.context import ForkServerContext
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

from benchmarks.scale.points import Extent, Point
from benchmarks.speed.measure import THREADS

RUNS = "runs.jsonl"


@dataclass(frozen=True)
class Run:
    """A point and its figures: see side.py."""

    point: Point
    figures: dict[str, Any]


def run_all(folder: Path, extent: Extent) -> Iterator[Run]:
    """Runs what `folder` has no record of, in the order of the extent.

    Raises:
        RuntimeError: a process ended with an error.
    """
    os.environ |= dict.fromkeys(THREADS, "1") | {
        "CUDA_VISIBLE_DEVICES": ""
    }  # before the server begins, which takes it over
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["benchmarks.scale.side"])
    known = {run.point for run in read_runs(folder)}
    for point in extent.points:
        if point in known:
            continue
        _in_process(server, "prepare", folder, point)
        run = Run(point, _in_process(server, "run", folder, point))
        with (folder / RUNS).open("a") as file:
            file.write(json.dumps(asdict(run)) + "\n")
        yield run


def read_runs(folder: Path) -> list[Run]:
    """What was run so far."""
    path = folder / RUNS
    lines = path.read_text().splitlines() if path.is_file() else []
    return [Run(Point(**own["point"]), own["figures"]) for own in map(json.loads, lines)]


def _in_process(server: ForkServerContext, what: str, folder: Path, point: Point) -> dict[str, Any]:
    answers: SimpleQueue[dict[str, Any]] = server.SimpleQueue()
    process = server.Process(target=_answer, args=(what, folder, point, answers))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{what} of {point.name} ended with code {process.exitcode}")
    return answers.get()


def _answer(what: str, folder: Path, point: Point, answers: "SimpleQueue[dict[str, Any]]") -> None:
    from benchmarks.scale import side

    answers.put({"prepare": side.prepare, "run": side.run}[what](side.World(folder, point)))
