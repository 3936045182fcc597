"""`make bench-ray`: cells an hour against workers, by Ray's nodes in this machine and by local processes.

The same fine-tunings of the default pair each time, one thread a cell; every worker has imported torch before the clock
starts, and what starting took stands beside it. The digests of all weights must be the same. Writes
benchmarks/ray/results.json, .md and .png.
"""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.ray.nodes import free_port, head_flags, lose, start_node, token
from benchmarks.ray.page import draw, page
from benchmarks.recipes.pairs import PAIRS, prepare
from flows.cluster import connected, machines, task_runner
from flows.server import start_prefect
from headstart.cells.job import Job
from headstart.cells.run import run_cell
from headstart.settings import write_default
from headstart.storage.publish import write_json, write_text
from headstart.training.accelerator import Accelerator
from headstart.training.weights import weights_digest
from tasks import workers as local_workers
from tasks.devices import available
from tasks.workers import cores
from tasks.workspace import Workspace

FOLDER = Path(__file__).parent
PAIR = PAIRS[0]
TIMED, WARMING = ("full", "l2_sp"), "linear_probe"
SEEDS = range(6)
NODES = {1: (1,), 2: (1, 1), 4: (2, 2)}  # workers: cores that each node says it has

LOCAL, RAY = "local processes", "Ray"
ROUNDS = 2  # on a machine that does other things too, the faster one says more

Run = Callable[[Sequence[Job]], Any]


def main() -> None:
    """Prepares the pair once, and runs the cells by each number of workers, in either way; the faster round stays."""
    if len(sys.argv) > 1:
        way, count, root, out = sys.argv[1:]
        write_json(Path(out), _measure(Path(root), way, int(count)))
        return
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        prepare(PAIR, root)
        write_default(root / "params.yaml")
        for _ in range(ROUNDS):
            for count in NODES:
                for way in (LOCAL, RAY):
                    rounds.append(_in_a_process(root, way, count))
                    print({name: value for name, value in rounds[-1].items() if name != "weights"}, flush=True)
    assert len({row.pop("weights") for row in rounds}) == 1, "the same cells came to other bytes"
    keys = [(count, way) for count in NODES for way in (LOCAL, RAY)]
    rows = [
        min((row for row in rounds if (row["workers"], row["way"]) == key), key=lambda row: row["seconds"])
        for key in keys
    ]
    document = {
        "command": "make bench-ray",
        "machine": available()[0].name,
        "cores": cores(),
        "rounds": ROUNDS,
        "rows": rows,
    }
    write_json(FOLDER / "results.json", document)
    write_text(FOLDER / "results.md", page(document))
    draw(document, FOLDER / "results.png")


def _in_a_process(root: Path, way: str, count: int) -> dict[str, Any]:
    """In one of its own, for Ray and Prefect keep what they were first told."""
    out = root / "row.json"
    command = [sys.executable, "-m", "benchmarks.ray", way, str(count), str(root), str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def _measure(root: Path, way: str, count: int) -> dict[str, Any]:
    """Seconds of starting (with imports) and of all timed cells."""
    warming = PAIR.jobs(root, WARMING, {}, SEEDS)
    timed = [job for strategy in TIMED for job in PAIR.jobs(root, strategy, {}, SEEDS)]
    shutil.rmtree(root / "cells", ignore_errors=True)
    begun = time.perf_counter()
    with _local(count) if way == LOCAL else _ray(root, count) as run:
        run(warming)
        ready = time.perf_counter()
        run(timed)
        done = time.perf_counter()
    return {
        "way": way,
        "workers": count,
        "cells": len(timed),
        "seconds": round(done - ready, 1),
        "start": round(ready - begun, 1),
        "cells_per_hour": round(3600 * len(timed) / (done - ready)),
        "load": round(os.getloadavg()[0], 1),
        "weights": json.dumps([weights_digest(job.directory) for job in timed]),
    }


@contextmanager
def _local(count: int) -> Iterator[Run]:
    """As tasks/workers.py has them, but for their number."""
    how = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(
        count, mp_context=how, initializer=local_workers.begin, initargs=(os.getpid(),)
    ) as executor:
        yield lambda jobs: list(executor.map(partial(run_cell, accelerator=Accelerator()), jobs))


@contextmanager
def _ray(root: Path, count: int) -> Iterator[Run]:
    """A cluster of its own, as `headstart run --ray` uses it: a flow, a task run a cell, Prefect's server beside it."""
    with ExitStack() as stack:
        common = token()
        os.environ.update(common)
        short = "/tmp"  # nosec B108  # for the names of its sockets, in a folder of their own
        folder = Path(tempfile.mkdtemp(prefix="ray-", dir=short))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        port = free_port()
        for number, own in enumerate(NODES[count]):
            first = head_flags(folder, port=port, client_port=free_port())
            flags = [f"--address=127.0.0.1:{port}"] if number else first
            node = start_node(flags, folder / f"node-{number}.log", cores=own, environment=common)
            stack.callback(lose, node)
        workspace = Workspace(root)
        server = stack.enter_context(start_prefect(workspace.state))
        if server:
            server.wait()
        stack.enter_context(connected(f"127.0.0.1:{port}", workspace))
        yield _flow()


def _flow() -> Run:
    from prefect import flow

    @flow(name="cells", persist_result=False, validate_parameters=False)
    def cells(jobs: Sequence[Job]) -> None:
        from flows.cluster import machines

        for _ in machines.get().run(jobs):
            pass

    assert machines.get()
    return cells.with_options(task_runner=task_runner())


if __name__ == "__main__":
    main()
