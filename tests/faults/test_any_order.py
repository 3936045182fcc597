"""Runs, kills, edits, damage and tidying in whatever order hypothesis thinks of; what must hold after each of them."""

import itertools
import json
import os
import shutil
import signal
from typing import Any, ClassVar

import psutil
import pytest
from checks import broken_artifacts, descendants, finished_cells, gone, lock_of, outcomes, points_twice, steps_back
from forked import WarmParent, said
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tally import Count, counting

VALUES = (30, 31, 33)
# From fine-tuning on: what is before it is as the whole run left it.
STEPS = [("finetune", "scratch"), ("finetune", "full"), ("remedy", ""), ("select", ""), ("evaluate", "")]
WEIGHTS = "models/target/full/weights.safetensors"


class Runs(RuleBasedStateMachine):
    """One checkout. `running` is the process of the run that is at work, if any."""

    base: ClassVar[Any]
    parent: ClassVar[WarmParent]
    folder: ClassVar[Any]
    entry: ClassVar[Count]
    numbers: ClassVar[Any] = itertools.count()
    known: ClassVar[dict[int, str]] = {}  # what each setting comes to, over all examples

    def __init__(self) -> None:
        super().__init__()
        self.project = self.base.copy(self.folder / f"any-{next(self.numbers)}")
        self.root = self.project.root
        self.running: int | None = None
        self.value = VALUES[0]
        self.cells: dict[str, float] = finished_cells(self.root)

    # -- rules -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.running is None)
    @rule(value=st.sampled_from(VALUES))
    def edit(self, value: int) -> None:
        self.project.set(strategies__full__steps=value)
        self.value = value

    @precondition(lambda self: self.running is None)
    @rule()
    def start(self) -> None:
        self.running = self.parent.start(self.root, only=STEPS, eager=True)
        while self.parent.wait(self.running, 0.02) is None and self._owner() != self.running:
            assert self._owner() in (None, self.running), "one owner"
        if self._owner() != self.running:
            raise AssertionError(said(self.root)[-3000:])

    @precondition(lambda self: self.running is not None)
    @rule()
    def start_another(self) -> None:
        """It is refused, and the first one named; or that one has ended meanwhile."""
        code = self.parent.run(self.root, only=STEPS, eager=True)
        ended = self.parent.wait(self.running, 0)  # type: ignore[arg-type]
        assert code == 3 or ended == 0, said(self.root)[-3000:]
        if code == 3:
            assert f"is in use by process {self.running} " in said(self.root)
        if ended is not None:
            self.running = None

    @precondition(lambda self: self.running is not None)
    @rule(after=st.floats(0, 2.5), victim=st.sampled_from(["parent", "worker", "group"]))
    def kill(self, after: float, victim: str) -> None:
        self._end(after, victim)

    @precondition(lambda self: self.running is not None)
    @rule(after=st.floats(0.2, 2.5))
    def cancel(self, after: float) -> None:
        code = self._end(after, "cancel")
        assert code in (0, 143), said(self.root)[-3000:]

    @rule()
    def rerun(self) -> None:
        """To its end, waiting for one that is at work."""
        if self.running is not None:
            assert self.parent.wait(self.running, 120) == 0, said(self.root)[-3000:]
            self.running = None
        before = len(said(self.root))
        assert self.parent.run(self.root, only=STEPS, eager=True) == 0, said(self.root)[-3000:]
        (found,) = outcomes(said(self.root)[before:]).values()
        stage = lock_of(self.root)["finetune@full"]
        assert stage["params"]["params.yaml"]["strategies.full"]["steps"] == self.value  # type: ignore[index]
        assert set(found) == {f"{name}@{item}" if item else name for name, item in STEPS}
        digest = self.project.weights()[WEIGHTS]
        assert self.known.setdefault(self.value, digest) == digest, "one result a key"

    @precondition(lambda self: self.running is None)
    @rule(what=st.sampled_from(["output", "cell", "rwlock", "draft"]), place=st.integers(0, 10**6))
    def corrupt(self, what: str, place: int) -> None:
        if what == "rwlock":
            (self.root / ".dvc/tmp").mkdir(exist_ok=True)
            (self.root / ".dvc/tmp/rwlock").write_text('{"read": {"pa')
        elif what == "draft":
            (self.root / "models/.target.tmp-4194305-00000000").mkdir(exist_ok=True)
            (self.root / ".headstart/locks").mkdir(parents=True, exist_ok=True)
            (self.root / ".headstart/locks/broken-off").touch()
        elif what == "output" and (path := self.root / WEIGHTS).is_file():
            content = _flipped(path.read_bytes(), place)
            path.unlink()  # DVC's cache may be the same file by another name
            path.write_bytes(content)
        elif what == "cell" and self.cells:
            name = sorted(self.cells)[place % len(self.cells)]
            path = self.root / ".headstart/cells" / name / "predictions.parquet"
            if path.is_file():
                path.write_bytes(_flipped(path.read_bytes(), place))
                del self.cells[name]

    @precondition(lambda self: self.running is None)
    @rule(what=st.sampled_from(["cells", "cache"]))
    def gc(self, what: str) -> None:
        if what == "cells":
            shutil.rmtree(self.root / ".headstart/cells", ignore_errors=True)
            self.cells = {}
        else:
            assert self.parent.run(self.root, "gc") == 0, said(self.root)[-3000:]

    # -- what holds --------------------------------------------------------------------------------------------------

    @invariant()
    def no_committed_work_is_lost(self) -> None:
        if self.running is None:
            now = finished_cells(self.root)
            assert {name: at for name, at in now.items() if name in self.cells} == self.cells
            self.cells = {name: at for name, at in now.items() if not self._is_damaged(name)}

    @invariant()
    def steps_are_monotone(self) -> None:
        if self.running is None:
            assert points_twice(self.root) == []
            assert steps_back(self.root) == []
        self.entry.tried += 1
        self.entry.held += 1

    def teardown(self) -> None:
        if self.running is not None:
            os.killpg(self.running, signal.SIGKILL)
            self.parent.wait(self.running, 10)
        shutil.rmtree(self.root, ignore_errors=True)

    def _end(self, after: float, victim: str) -> int:
        assert self.running is not None
        code = self.parent.wait(self.running, after)
        if code is None:
            below = descendants(self.running)
            if victim == "group":
                os.killpg(self.running, signal.SIGKILL)
            elif victim == "worker" and below:
                below[-1].kill()
            else:
                os.kill(self.running, signal.SIGTERM if victim == "cancel" else signal.SIGKILL)
            code = self.parent.wait(self.running, 60)
            assert code is not None, "it went on"
            assert gone(below, 5) is not None
        self.running = None
        return code

    def _owner(self) -> int | None:
        """Who says that it holds the checkout."""
        try:
            pid = int(json.loads((self.root / ".headstart/locks/workspace.json").read_text())["pid"])
        except (OSError, ValueError):
            return None
        return pid if psutil.pid_exists(pid) else None

    def _is_damaged(self, name: str) -> bool:
        return any(f"/cells/{name}/" in told for told in broken_artifacts(self.root))


def _flipped(content: bytes, place: int) -> bytes:
    place %= len(content)
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.faults
def test_whatever_happens_in_whatever_order(whole, warm_parent, tmp_path) -> None:
    Runs.base, Runs.parent, Runs.folder = whole.project, warm_parent, tmp_path
    with counting("runs, kills, edits, damage and tidying in any order: the invariants hold after each step") as entry:
        Runs.entry = entry
        run_state_machine_as_test(
            Runs,
            settings=settings(
                max_examples=8,
                stateful_step_count=10,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
                print_blob=False,
            ),
        )
