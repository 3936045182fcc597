"""A project for commands that read datasets and run nothing."""

import shutil
from pathlib import Path

import pytest

from headstart.settings import write_default
from tasks.workspace import Workspace

ROOT = Path(__file__).parents[3]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoder) -> Workspace:
    """A project with an empty data/; the workers are a thread."""
    root = tmp_path / "project"
    (root / "data").mkdir(parents=True)
    shutil.copy(ROOT / "dvc.yaml", root)
    write_default(root / "params.yaml")
    monkeypatch.chdir(root)
    monkeypatch.setattr("tasks.workers.pool", lambda: decoder)
    monkeypatch.setattr("tasks.workers.stop", lambda: None)
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    return Workspace(root)
