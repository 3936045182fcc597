"""kill -9 one of two processes that train together: the step fails in one line, publishes nothing, and goes on later.

What it ends with are the bytes of two processes that nothing interrupted.
"""

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from eager_steps import Start, checkpoints, starting

pytestmark = pytest.mark.scenario

W = Path("models/source/shapes")
TARGET = Path("models/target/full")


@pytest.fixture(scope="module")
def shared(make_project):
    """A small project of a backbone without BatchNorm, packed and ready to train on two processes of this CPU."""
    project = make_project(
        **{
            "backbone": "timm:test_efficientnet_gn",  # small, with GroupNorm
            "devices": 2,
            "pretrain.epochs": 5,  # of one step each
            "pretrain.batch_size": 60,
            "finetune.strategies": ["scratch", "full"],
            "finetune.seeds": 1,
            "strategies.full.steps": 6,
            "strategies.scratch.steps": 4,
        }
    )
    project.run(sys.executable, "-m", "tasks", "ingest_target")
    project.run(sys.executable, "-m", "tasks", "ingest_source", "shapes")
    return project


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with starting(tmp_path) as found:
        yield found


def kill_a_rank(process: "subprocess.Popen[str]", when: Callable[[], bool]) -> tuple[str, float]:
    """Kills the second of the two ranks once `when` is so; returns what the step said, and how long it went on."""
    deadline = time.monotonic() + 240
    while not when():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "it did not come so far in time"
        time.sleep(0.005)
    ranks = [child for child in psutil.Process(process.pid).children() if "spawn_main" in str(child.cmdline())]
    assert len(ranks) == 2
    ranks[1].kill()
    begun = time.monotonic()
    said = process.communicate(timeout=60)[0]
    _, alive = psutil.wait_procs(ranks, timeout=5)
    assert not alive
    return said, time.monotonic() - begun


def digests(folder: Path, *names: str) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def test_pretraining_whose_rank_was_killed_goes_on_and_ends_in_the_same_bytes(shared, start, tmp_path: Path) -> None:
    whole, killed = (shared.copy(tmp_path / name) for name in ("whole", "killed"))
    process = start(killed, "pretrain", "shapes")
    said, seconds = kill_a_rank(process, lambda: len(checkpoints(killed, "pretrain-*")) > 1)
    assert process.returncode == 1
    assert seconds < 15
    (line,) = [line for line in said.splitlines() if line.startswith("error:")]
    assert "process 2 of the 2 that train together died (killed by SIGKILL" in line
    assert "Traceback" not in said
    assert not (killed.root / W).exists()
    assert not list((killed.root / "models").glob("**/.*.tmp-*"))
    before = checkpoints(killed, "pretrain-*")[-1]
    for project in (whole, killed):
        project.run(sys.executable, "-m", "tasks", "pretrain", "shapes")
    files = ("weights.safetensors", "card.json", "history.csv")
    assert digests(killed.root / W, *files) == digests(whole.root / W, *files)
    assert before < "step-00000005", "it was killed before its end"
    assert checkpoints(killed, "pretrain-*") == []


def test_a_cell_whose_rank_was_killed_goes_on_and_ends_in_the_same_bytes(shared, start, tmp_path: Path) -> None:
    shared.run(sys.executable, "-m", "tasks", "pretrain", "shapes")
    shared.run(sys.executable, "-m", "tasks", "extract")
    whole, killed = (shared.copy(tmp_path / name) for name in ("whole", "killed"))
    process = start(killed, "finetune", "full")
    said, _ = kill_a_rank(process, lambda: len(checkpoints(killed, "*.rate-*")) > 1)
    assert process.returncode == 1
    assert "error: process 2 of the 2 that train together died" in said
    assert not (killed.root / TARGET).exists()
    for project in (whole, killed):
        project.run(sys.executable, "-m", "tasks", "finetune", "full")
    files = ("weights.safetensors", "card.json", "predictions.parquet", "history.csv")
    assert digests(killed.root / TARGET, *files) == digests(whole.root / TARGET, *files)
    assert checkpoints(killed, "*.rate-*") == []


def test_a_backbone_with_batch_norm_is_refused_before_anything_runs(shared, tmp_path: Path) -> None:
    project = shared.copy(tmp_path / "resnet")
    before = (project.root / "params.yaml").read_bytes()
    done = project.headstart("run", "--backbone", "resnet8", check=False)
    assert done.returncode == 2
    assert "devices is 2, and the backbone has BatchNorm" in done.stderr
    assert (project.root / "params.yaml").read_bytes() == before
