"""kill -9 in the middle of pretrain and of finetune: the next run goes on, and ends with the bytes of a whole one."""

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from eager_steps import Start, checkpoints, starting

pytestmark = pytest.mark.scenario


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with starting(tmp_path) as found:
        yield found


def wait_until(condition: Callable[[], bool], *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come so far in time"
        time.sleep(0.005)


def digests(folder: Path, *names: str) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def finished_cells(project) -> dict[str, float]:
    """When the cells that are whole were published."""
    folder = project.root / ".headstart" / "cells"
    return {name: at for name, at in project.cells().items() if (folder / name / "cell.json").is_file()}


def test_pretraining_goes_on_where_it_was_killed(cold, open_warm, in_project, start, tmp_path: Path) -> None:
    whole, killed = (cold.copy(tmp_path / name) for name in ("whole", "killed"))
    for project in (whole, killed):
        project.set(pretrain__epochs=20)  # of one step each
    process = start(killed, "pretrain", "shapes")
    wait_until(lambda: "step-00000005" in checkpoints(killed, "pretrain-*"))
    process.kill()
    process.wait()
    assert checkpoints(killed, "pretrain-*")[-1] < "step-00000020"
    for project in (whole, killed):
        with in_project(project):
            open_warm(project).step("pretrain", "shapes")
    model, files = Path("models/source/shapes"), ("weights.safetensors", "card.json", "history.csv")
    assert digests(killed.root / model, *files) == digests(whole.root / model, *files)
    assert project.weights()[f"{model}/weights.safetensors"] != cold.weights()[f"{model}/weights.safetensors"]
    assert checkpoints(killed, "pretrain-*") == [], "checkpoints go when the step is done"


def test_finished_cells_of_a_killed_finetune_are_not_run_again(
    cold, open_warm, in_project, start, tmp_path: Path
) -> None:
    whole, killed = (cold.copy(tmp_path / name) for name in ("whole", "killed"))
    for project in (whole, killed):
        project.set(finetune__seeds=3, strategies__scratch__steps=16)
    before = finished_cells(killed)
    process = start(killed, "finetune", "scratch")
    wait_until(lambda: len(finished_cells(killed)) > len(before) and checkpoints(killed, "*.rate-*") != [])
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert len(workers) > 2, "two workers, and what starts them"
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive, "workers die with their parent"
    finished = finished_cells(killed)
    assert 1 <= len(finished) - len(before) < 6, "of three cells of full and three of half length"
    assert checkpoints(killed, "*.rate-*") != [], "others were half done"
    for project in (whole, killed):
        with in_project(project):
            open_warm(project).step("finetune", "scratch")
    assert {name: at for name, at in finished_cells(killed).items() if name in finished} == finished
    assert len(finished_cells(killed)) - len(before) == 6
    assert checkpoints(killed, "*.rate-*") == []
    model = Path("models/target/scratch")
    files = ("weights.safetensors", "card.json", "predictions.parquet", "history.csv", "labelled.json")
    assert digests(killed.root / model, *files) == digests(whole.root / model, *files)
