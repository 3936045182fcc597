"""A disk that is full or fails at every single write of publishing, in each step of the real pipeline."""

import errno
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tally

from headstart.errors import StorageError
from headstart.storage import publish
from headstart.storage.publish import MANIFEST, verify
from tasks.reproduce import TIMED

pytestmark = pytest.mark.faults

CALLS = ((os, "replace"), (os, "rename"), (os, "fsync"), (Path, "write_bytes"), (publish, "exchange"))
STEPS = (
    ("ingest_target", ""), ("ingest_source", "shapes"), ("pretrain", "shapes"), ("extract", ""), ("explore", ""),
    ("quality", ""), ("rank", ""), ("finetune", "scratch"), ("finetune", "linear_probe"), ("remedy", ""),
    ("select", ""), ("evaluate", ""), ("report", ""),
)  # fmt: skip
NUMBERS = (errno.ENOSPC, errno.EIO)


class Faults:
    """Has the nth call of publishing fail in this process, or all from the nth on. fired: how many did."""

    def __init__(self, number: int, *, at: int, sticky: bool):
        self.number, self.at, self.sticky = number, at, sticky
        self.calls = self.fired = 0

    def __enter__(self) -> "Faults":
        self._patch = pytest.MonkeyPatch()
        for owner, name in CALLS:
            self._patch.setattr(owner, name, self._failing(getattr(owner, name)))
        return self

    def __exit__(self, *error: object) -> None:
        self._patch.undo()

    def _failing(self, function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **keywords: object) -> object:
            if sys._getframe(1).f_globals["__name__"] != publish.__name__:
                return function(*arguments, **keywords)  # DVC and others have these called too
            self.calls += 1
            if self.calls == self.at or (self.sticky and self.calls > self.at):
                self.fired += 1
                raise OSError(self.number, os.strerror(self.number))
            return function(*arguments, **keywords)

        return call


@pytest.fixture(scope="module")
def whole(make_project, run_warm):
    """A project after a run that no fault came into, and what it began with."""
    project = make_project(**{"finetune.strategies": ["scratch", "linear_probe"]})
    untouched = project.copy(project.root.with_name("untouched"))
    run_warm(project)
    return untouched, project


def published(root: Path) -> dict[str, dict[str, str]]:
    """The digests that each published folder's manifest has, without those of files with seconds; all of them hold."""
    folders = [path.parent for name in ("packs", "models", "features") for path in (root / name).rglob(MANIFEST)]
    return {
        folder.relative_to(root).as_posix(): {
            name: entry["sha256"] for name, entry in verify(folder).items() if name not in TIMED
        }
        for folder in sorted(folders)
    }


def test_every_write_of_every_step(whole, open_warm, in_project) -> None:
    """Once, and from then on: one error that names file and cause; what was there loads; a rerun ends the same."""
    project, expected = whole
    wanted, start, tried = published(expected.root), time.monotonic(), 0
    for step, item in STEPS:
        at, fired = 0, True
        while fired:
            at += 1
            faults = Faults(NUMBERS[at % 2], at=at, sticky=at % 4 < 2)
            before = published(project.root)
            said = run_under(faults, project, step, item, open_warm, in_project)
            fired = faults.fired > 0
            where = f"{step} {item}: call {at}, {os.strerror(faults.number)}: {said!r}"
            assert (os.strerror(faults.number) in said and str(project.root) in said) if fired else not said, where
            now = published(project.root)
            assert all(now.get(name, text) in (text, wanted.get(name)) for name, text in before.items()), where
            tried += fired
    assert published(project.root).keys() == wanted.keys()
    assert project.weights() == expected.weights()
    for name in ("verdict.json", "predictions.parquet"):
        assert (project.root / "reports" / name).read_bytes() == (expected.root / "reports" / name).read_bytes()
    assert "up to date" in project.run("dvc", "status").stdout
    assert [path for path in project.root.rglob(".*.tmp-*") if ".dvc" not in path.parts] == []
    promise = "a full or failing disk at any write of publishing: named, what was there loads, a rerun ends the same"
    tally.record(promise, tried=tried, held=tried, seconds=time.monotonic() - start)


def run_under(faults: Faults, project: Any, step: str, item: str, open_warm: Any, in_project: Any) -> str:
    """What the step's StorageError says, "" where it went through."""
    with in_project(project):
        run = open_warm(project)
        try:
            with faults:
                run.step(step, item)
        except StorageError as error:
            return str(error)
    return ""
