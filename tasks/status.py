"""Status: what a workspace is at and what it has, read from its files and DVC. Nothing is locked, run or imported."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from headstart.errors import BusyError
from tasks.devices import Holder, holders
from tasks.project.code_lock import stale
from tasks.workspace import Workspace


@dataclass(frozen=True)
class Running:
    """The process that holds a workspace, and since when (ISO 8601, local time)."""

    pid: int
    command: str
    started: str


@dataclass(frozen=True)
class Status:
    """What `headstart status` says.

    running: in this checkout. beside: the runs of `headstart serve` and reproductions, by their worktree's folder.
    steps: by name in the order of the pipeline, "up to date", "changed" or "follows" (something that it depends on
    changed); None while a dvc command is at work. verdict, model: of the last run, None before the first.
    current: whether the verdict is that of the settings, code and data of now; None where steps is.
    target: the dataset that the model was tuned for.
    opened: for how many comparisons the test labels of each dataset were opened. devices: who holds which.
    other_code: steps of which code.lock has other code than is installed; none in a checkout.
    """

    running: Running | None
    beside: dict[str, Running]
    steps: Mapping[str, str] | None
    verdict: str | None
    model: str | None
    current: bool | None
    opened: dict[str, int]
    target: str | None
    devices: dict[str, Holder]
    other_code: list[str]


def status_of(workspace: Workspace) -> Status:
    """Reads the status; takes a second or two, most of it DVC's.

    Raises:
        UserError: params.yaml or dvc.yaml cannot be read.
    """
    workspace.settings()
    steps = _steps(workspace)
    verdict = _json(workspace.verdict).get("sentence")
    delivered = _json(workspace.selection / "selection.json").get("delivered")
    return Status(
        running=running(workspace),
        beside=_beside(workspace),
        steps=steps,
        verdict=verdict,
        model=delivered,
        current=None if steps is None or verdict is None else steps.get("evaluate") == "up to date",
        target=_json(workspace.root / delivered / "card.json").get("dataset") if delivered else None,
        opened={name: len(looks) for name, looks in _json(workspace.state / "opened.json").items()},
        devices=holders(workspace.state / "locks"),
        other_code=stale(workspace.root),
    )


def _steps(workspace: Workspace) -> Mapping[str, str] | None:
    from tasks.versioning import versioning_of

    try:
        return versioning_of(workspace.root).states()
    except BusyError:
        return None


def running(workspace: Workspace) -> Running | None:
    """Read from what the holder wrote: to try the lock would be to hold it, and a run that starts now would fail."""
    held = _json(workspace.own / "locks" / "workspace.json")
    try:
        process = psutil.Process(held["pid"])
        if abs(process.create_time() - held["started"]) > 1:
            return None  # another process has the number now
        return Running(held["pid"], " ".join(held["command"]), _iso(held["started"]))
    except (KeyError, TypeError, psutil.Error):
        return None


def _beside(workspace: Workspace) -> dict[str, Running]:
    """By the command that holds each worktree; before there is one, by the process that made the worktree."""
    from tasks.git import top_level
    from tasks.worktrees import at_work

    there = at_work(workspace)
    below = workspace.root.resolve().relative_to(top_level(workspace.root).resolve()) if there else Path()
    found = {}
    for folder, process in there.items():
        with suppress(psutil.Error):
            maker = Running(process.pid, " ".join(process.cmdline()), _iso(process.create_time()))
            place = os.path.relpath(folder, workspace.root)
            found[place] = running(Workspace(folder / below, shared=workspace.state)) or maker
    return found


def _iso(seconds: float) -> str:
    """seconds: since 1970."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def _json(path: Path) -> dict[str, Any]:
    """A JSON file's mapping; empty where there is none, or none that is whole."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
