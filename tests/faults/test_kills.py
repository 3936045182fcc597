"""Runs that are killed at random moments, again and again: each comes to what one comes to that nobody disturbed."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checks import (
    broken_artifacts,
    descendants,
    finished_cells,
    gone,
    leftovers,
    points_twice,
    result,
    running_without_process,
    steps_back,
)
from forked import WarmParent, said, trace
from tally import counting

SEED = 8
ORPHANS_SECONDS = 5.0
CHAIN = 3  # kills of one project, before it may come to its end
VICTIMS = ("parent", "worker", "group")


def killed(pid: int, victim: str, draw: random.Random) -> None:
    """kill -9 of the run, of one of its workers (of the run, where it has none just now), or of all at once."""
    workers = descendants(pid)
    if victim == "group":
        os.killpg(pid, signal.SIGKILL)
    elif victim == "worker" and workers:
        draw.choice(workers).kill()
    else:
        os.kill(pid, signal.SIGKILL)


def lost_steps(root: Path) -> list[str]:
    """Trainings that the second process began further back than the first one's last checkpoint of them."""
    saved: dict[str, int] = {}
    found = []
    for line in trace(root):
        if line["what"] == "saved":
            saved[line["of"]] = line["step"]
        elif line["step"] < saved.get(line["of"], 0):
            found.append(f"{line['of']}: checkpoint of step {saved[line['of']]}, went on from {line['step']}")
    return found


class Disturbed:
    """One project that is run, disturbed and run again, and looked at each time."""

    def __init__(self, project: Any, parent: WarmParent):
        self.root = project.root
        self.parent = parent
        self.slowest = 0.0  # seconds until orphans were gone

    def disturb(self, after: float, disturb: Callable[[int], None], **options: Any) -> bool:
        """Starts a run and disturbs it after these seconds; False where it had ended by then."""
        pid = self.parent.start(self.root, eager=True, **options)
        if (code := self.parent.wait(pid, after)) is not None:
            assert code == 0, said(self.root)
            return False
        below = descendants(pid)
        disturb(pid)
        self.code = self.parent.wait(pid, 60)
        assert self.code is not None, "it went on"
        if options.get("workers") != "forkserver":  # else the next run comes at once, and ends what is left
            seconds = gone(below, ORPHANS_SECONDS)
            assert seconds is not None, "workers outlive their run"
            self.slowest = max(self.slowest, seconds)
            assert broken_artifacts(self.root) == []
        return True

    def finish(self, whole: dict[str, object], **options: Any) -> None:
        """Runs it to its end, which must be the same as if nobody had disturbed it."""
        before = finished_cells(self.root)
        assert self.parent.run(self.root, eager=True, **options) == 0, said(self.root)
        after = finished_cells(self.root)
        assert {name: at for name, at in after.items() if name in before} == before, "finished cells ran again"
        assert lost_steps(self.root) == []
        assert result(self.root) == whole
        assert leftovers(self.root) == []
        assert running_without_process(self.root) == []
        assert points_twice(self.root) == []
        assert steps_back(self.root) == []


def chains(
    fresh: Callable[[], Any], parent: WarmParent, whole: Any, kills: int, entry: Any, seed: int = SEED, **options: Any
) -> None:
    draw = random.Random(f"{seed} {options}")
    done, length = 0, whole.seconds  # of a run, on this machine as busy as it is just now
    while done < kills:
        disturbed = Disturbed(fresh(), parent)
        hits = []
        for number in range(min(CHAIN, kills - done)):
            victim = VICTIMS[(done + number) % len(VICTIMS)]
            after = draw.uniform(0.0, length * (1.0 if number == 0 else 0.5))
            if not disturbed.disturb(after, lambda pid, victim=victim: killed(pid, victim, draw), **options):
                length = max(1.0, 0.8 * after) if number == 0 else length
                break
            hits.append(f"{victim} after {after:.2f} s")
        entry.tried += len(hits)
        done += len(hits)
        try:
            disturbed.finish(whole.result, **options)
        except AssertionError as error:
            raise AssertionError(
                f"killed {hits} in {disturbed.root}: {error}\n{said(disturbed.root)[-3000:]}"
            ) from error
        entry.held += len(hits)


def test_a_kill_now_and_then(fresh, warm_parent, whole) -> None:
    """The short form, of every `make test`."""
    with counting("a short form of the kills, in make test") as entry:
        chains(fresh, warm_parent, whole, 2, entry)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(SEED, SEED + 13))
def test_kills_at_random_moments(fresh, warm_parent, whole, seed) -> None:
    """39 kills; a test of each three, so that one that hangs ends after its time."""
    with counting("kill -9 at a random moment of a forked run: the rerun ends with the same bytes") as entry:
        chains(fresh, warm_parent, whole, 3, entry, seed)


@pytest.mark.faults
@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_kills_with_workers_from_a_clean_process(fresh, warm_parent, whole, seed) -> None:
    """As always outside of this harness; the next run starts while the last one's orphans may still be at work."""
    with counting("kill -9, and the next run starts at once, while orphans are at work") as entry:
        chains(fresh, warm_parent, whole, 3, entry, seed, workers="forkserver")


@pytest.mark.faults
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"])
def test_told_to_stop_at_random_moments(fresh, warm_parent, whole, number, code) -> None:
    draw = random.Random(f"{SEED} {number}")
    with counting(f"{number.name} at a random moment: it stops within seconds, and the rerun ends the same") as entry:
        for _ in range(2):
            disturbed = Disturbed(fresh(), warm_parent)
            for _ in range(2):
                began = time.monotonic()
                if disturbed.disturb(draw.uniform(0.3, whole.seconds * 0.7), lambda pid: os.kill(pid, number)):
                    entry.tried += 1
                    assert disturbed.code == code, said(disturbed.root)[-2000:]
                    assert time.monotonic() - began < whole.seconds + 25
            disturbed.finish(whole.result)
            entry.held = entry.tried
