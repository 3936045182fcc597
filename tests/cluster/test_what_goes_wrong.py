"""A machine that is lost in mid-cell, and runs that are stopped: the run goes on, or nothing of it is left behind."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.ray

SLOW = {  # cells of several seconds, to be interrupted
    "finetune__strategies": ["source", "scratch", "full"],
    "finetune__curve_budgets": [],
    "strategies__scratch__steps": 1500,
    "strategies__full__steps": 1500,
}


@pytest.fixture
def start(tmp_path: Path):
    """Starts `headstart` in a project; it dies with the test."""
    started = []

    def start(project, *words: str) -> tuple["subprocess.Popen[bytes]", Path]:
        said = tmp_path / "said.txt"
        with said.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "flows.cli", *words],
                cwd=project.root,
                env=project.env,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(process)
        return process, said

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def cells_of(processes: Callable[[], list[psutil.Process]]) -> list[psutil.Process]:
    """Those that are at a cell: Ray names a worker after its task."""
    found = []
    for process in processes():
        with suppress(psutil.Error):
            if process.cmdline()[:1] == ["ray::cell"]:
                found.append(process)
    return found


def test_cells_of_a_machine_that_is_lost_are_run_on_another(make_project, start_cluster, start, wait_until):
    project, local = make_project(**SLOW), make_project(**SLOW)
    cluster = start_cluster({}, {})
    project.env |= cluster.environment
    process, said = start(project, "run", "--ray", cluster.address)
    wait_until(lambda: len(cells_of(lambda: cluster.processes(1))) > 0, seconds=180, what=said.read_text)
    wait_until(lambda: "cell 1/" in said.read_text(), seconds=180, what=said.read_text)
    wait_until(lambda: len(cells_of(lambda: cluster.processes(1))) > 0, seconds=60, what=said.read_text)
    cluster.lose(1)
    lost = time.monotonic()
    local.headstart("run", timeout=600)  # meanwhile
    assert process.wait(timeout=300) == 0, said.read_text()
    print(f"the run ended {time.monotonic() - lost:.0f} s after the machine was lost")
    assert project.weights() == local.weights()
    assert len(local.weights()) >= 4
    assert set(project.cells()) == set(local.cells())


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_stopped_leaves_no_worker_on_the_machines(
    make_project, start_cluster, start, wait_until, stop, code
):
    project = make_project(**SLOW)
    cluster = start_cluster({}, {})
    project.env |= cluster.environment
    process, said = start(project, "run", "--ray", cluster.address)
    wait_until(lambda: len(cluster.cells_at_work()) == 2, seconds=180, what=said.read_text)
    process.send_signal(stop)
    assert process.wait(timeout=60) == code, said.read_text()
    assert "stopped; finished cells and steps are kept, run again to go on" in said.read_text()
    assert "Traceback" not in said.read_text()
    wait_until(lambda: cluster.cells_at_work() == [], seconds=20, what="cells go on without their run")
    assert all(node.poll() is None for node in cluster.nodes), "the cluster is not the run's to stop"


@pytest.mark.parametrize(("stop", "seconds"), [(signal.SIGINT, 10), (signal.SIGKILL, 120)])
def test_a_cluster_of_the_run_itself_ends_with_it(make_project, start, wait_until, stop, seconds):
    project = make_project(**SLOW)
    home = Path.home() / ".ray"
    there = home.exists()
    process, said = start(project, "run", "--ray", "local")
    run = psutil.Process(process.pid)
    wait_until(lambda: len(cells_of(lambda: run.children(recursive=True))) > 0, seconds=180, what=said.read_text)
    below = run.children(recursive=True)
    of_the_run = [found for found in below if re.search(r"/ray/|ray::", " ".join(found.cmdline()))]
    assert len(of_the_run) >= 4, "gcs, raylet, workers"
    process.send_signal(stop)
    process.wait(timeout=60)
    begun = time.monotonic()
    _, alive = psutil.wait_procs(of_the_run, timeout=seconds)
    assert alive == []
    print(f"all of Ray ended within {time.monotonic() - begun:.0f} s")
    assert home.exists() == there, "no token is written"
