"""kill -9 in the middle of pretrain and of finetune: the rerun ends with the bytes of an uninterrupted run."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.scenario

# A step with a checkpoint after every training step; the interval has no influence on the bytes.
EAGER = """
import sys
from headstart.training.checkpoint import Checkpoints
Checkpoints.__init__.__kwdefaults__["every"] = 0.0
from tasks.__main__ import main

sys.exit(main(sys.argv[1:]))
"""


def start(project, *step: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", EAGER, *step],
        cwd=project.root,
        env=project.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_until(condition: Callable[[], bool], *, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come so far in time"
        time.sleep(0.005)


def digests(folder: Path, *names: str) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def test_pretraining_goes_on_where_it_was_killed(cold, tmp_path: Path) -> None:
    whole, killed = (cold.copy(tmp_path / name) for name in ("whole", "killed"))
    for project in (whole, killed):
        project.set(pretrain__epochs=60)
    whole.run("python", "-m", "tasks", "pretrain")
    process = start(killed, "pretrain")
    checkpoints = killed.root / ".headstart" / "cells"
    wait_until(lambda: len(list(checkpoints.glob("pretrain-*/step-*/manifest.json"))) >= 1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = sorted(checkpoints.glob("pretrain-*/step-*"))
    assert kept, "killed before its end, it leaves a checkpoint"
    said = killed.run("python", "-m", "tasks", "pretrain").stdout
    files = ("weights.safetensors", "card.json", "history.csv")
    model = Path("models/source/shapes")
    assert digests(killed.root / model, *files) == digests(whole.root / model, *files)
    assert "W: resnet8 on shapes" in said
    assert not list(checkpoints.glob("pretrain-*")), "checkpoints go when the step is done"


def test_finished_cells_of_a_killed_finetune_are_not_run_again(cold, tmp_path: Path) -> None:
    whole, killed = (cold.copy(tmp_path / name) for name in ("whole", "killed"))
    for project in (whole, killed):
        project.set(finetune__seeds=6, strategies__scratch__steps=120)
    whole.run("python", "-m", "tasks", "finetune", "scratch")
    before = set(killed.cells())
    process = start(killed, "finetune", "scratch")
    wait_until(lambda: any(_finished(killed, name) for name in set(killed.cells()) - before))
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive, "workers die with their parent"
    finished = {name: at for name, at in killed.cells().items() if name not in before and _finished(killed, name)}
    assert 1 <= len(finished) < 12, "some of the 6 cells of full and 6 of half length were done, not all"
    killed.run("python", "-m", "tasks", "finetune", "scratch")
    assert {name: killed.cells()[name] for name in finished} == finished
    model = Path("models/target/scratch")
    files = ("weights.safetensors", "card.json", "predictions.parquet", "history.csv", "labelled.json")
    assert digests(killed.root / model, *files) == digests(whole.root / model, *files)


def _finished(project, name: str) -> bool:
    return os.path.isfile(project.root / ".headstart" / "cells" / name / "manifest.json")
