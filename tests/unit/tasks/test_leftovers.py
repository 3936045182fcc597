"""What a killed run leaves is cleared away by the next one that holds the workspace, and what is at work is not."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tasks.leftovers import WORKS_FOR, end_orphans
from tasks.workspace import Workspace

GONE = 4194305  # above any process id


@pytest.fixture
def worker():
    """Starts a process that bears the name of the one that it works for."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str) -> subprocess.Popen[bytes]:
        started.append(
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=os.environ | {WORKS_FOR: name})
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_workers_of_a_process_that_is_gone_are_ended_also_frozen_ones(worker) -> None:
    orphan, frozen, other = worker(f"{GONE} 17.0"), worker(f"{GONE} 17.5"), worker(f"{GONE} 99.0")
    psutil.Process(frozen.pid).suspend()
    odd = worker("what a user set")
    assert sorted(end_orphans(GONE, 17.2)) == sorted([orphan.pid, frozen.pid])
    assert not any(psutil.pid_exists(process.pid) for process in (orphan, frozen))
    assert [process.poll() for process in (other, odd)] == [None, None]


def test_workers_of_a_living_process_are_left_alone(worker) -> None:
    this = psutil.Process()
    mine = worker(f"{this.pid} {this.create_time()}")
    assert end_orphans(this.pid, this.create_time()) == []
    assert mine.poll() is None


def drafts(root: Path, pid: int) -> list[Path]:
    found = [root / name / f".thing.tmp-{pid}-0011aabb" for name in ("packs", "models/target", ".headstart/cells")]
    for path in found:
        path.mkdir(parents=True)
    (root / f".params.yaml.tmp-{pid}-0011aabb").touch()
    return [*found, root / f".params.yaml.tmp-{pid}-0011aabb"]


def holder(workspace: Workspace) -> Path:
    return workspace.own / "locks" / "workspace.json"


def test_drafts_go_when_the_holder_before_was_killed(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    dead, living = drafts(tmp_path, GONE), drafts(tmp_path, os.getpid())
    with workspace.locked():
        pass
    assert all(path.exists() for path in dead), "nothing says that anybody was killed"
    holder(workspace).write_text(json.dumps({"pid": GONE, "started": 17.0, "command": ["headstart"]}))
    with workspace.locked():
        assert json.loads(holder(workspace).read_text())["pid"] == os.getpid()
        assert not any(path.exists() for path in dead)
    assert all(path.exists() for path in living)
    assert not holder(workspace).exists()


def test_drafts_go_after_a_run_that_broke_off(tmp_path: Path) -> None:
    """A worker of it may have been killed, and not the run itself."""
    workspace = Workspace(tmp_path)
    with pytest.raises(RuntimeError), workspace.locked():
        raise RuntimeError
    dead = drafts(tmp_path, GONE)
    with workspace.locked():
        assert not any(path.exists() for path in dead)
    again = drafts(tmp_path, GONE)
    with workspace.locked():
        assert all(path.exists() for path in again), "it was cleared away once"


def test_a_half_written_holder_is_no_obstacle(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    holder(workspace).parent.mkdir(parents=True)
    holder(workspace).write_text('{"pid": 1')
    with workspace.locked():
        pass


def test_to_hold_the_workspace_takes_no_time_where_nobody_was_killed(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with workspace.locked():
        pass
    began = time.perf_counter()
    with workspace.locked():
        pass
    assert time.perf_counter() - began < 0.5  # 2 ms on a quiet machine
