"""What tests/faults tried and what held, for docs/reliability.md: faults.json, an entry a promise.

`with trying(promise):` counts one try, and one that held where nothing is raised. Files are written at the end of a
session, by conftest.py, and only where FAULTS_TALLY is set (`make faults`): entries of other tests stay as they are.
Where several processes test, each hands on what it counted, and the one that started them adds it up.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

PLACE = Path(__file__).with_name("faults.json")
VARIABLE = "FAULTS_TALLY"
NOT_FINITE = "a loss that is not finite: once more at half the rate, then a named error; no checkpoint has it"

# Promises that tests of other folders hold, by where those begin. `make faults` runs them too; as a script this file
# names them for it.
ELSEWHERE = {
    "tests/unit/training/test_pieces.py": (
        "out of memory on the device: steps are done in pieces, and come to what the whole does"
    ),
    "tests/unit/training/test_loop.py::test_a_loss_that_is_not_finite_begins_again_at_half_the_rate": NOT_FINITE,
    "tests/unit/training/test_loop.py::test_a_second_time_it_ends_before_the_step_and_no_checkpoint_has_it": NOT_FINITE,
    "tests/unit/training/test_loop.py::test_killed_before_or_after_it_ends_in_the_same_bytes": NOT_FINITE,
    "tests/unit/training/test_loop.py::test_an_infinite_loss_is_named_too": NOT_FINITE,
    "tests/unit/storage/test_disk.py": "a full or failing disk is seen for what it is, whatever wrote to it",
    "tests/unit/flows/test_api_decoders.py": "Endpoint: a decoder that dies or hangs costs its own image alone",
    "tests/flow/test_serve.py::test_a_cancelled_run_leaves_nothing_at_work": (
        "a run that is cancelled in Prefect's pages leaves nothing at work and nothing open"
    ),
}


@dataclass
class Count:
    """Of one promise, in this session. seconds: that the tries took."""

    tried: int = 0
    held: int = 0
    seconds: float = 0.0


_counts: dict[str, Count] = {}


@contextmanager
def trying(promise: str, times: int = 1) -> Iterator[Count]:
    """Counts what the block does as `times` tries of the promise; all of them held where it raises nothing.

    A block that knows better counts on its own: trying(promise, times=0), and count.tried += 1 and so on.
    """
    count = _counts.setdefault(promise, Count())
    start = time.perf_counter()
    count.tried += times
    try:
        yield count
        count.held += times
    finally:
        count.seconds += time.perf_counter() - start


def counting(promise: str) -> AbstractContextManager[Count]:
    """`trying` for a block that counts on its own."""
    return trying(promise, times=0)


def record(promise: str, *, tried: int, held: int, seconds: float) -> None:
    """What a harness counted by itself."""
    count = _counts.setdefault(promise, Count())
    count.tried, count.held, count.seconds = count.tried + tried, count.held + held, count.seconds + seconds


def counted() -> dict[str, list[float]]:
    """What this process has counted, as it goes to another one: [tried, held, seconds] by promise."""
    return {promise: [count.tried, count.held, count.seconds] for promise, count in _counts.items()}


def add(counts: dict[str, list[float]]) -> None:
    """Adds what another process has counted."""
    for promise, (tried, held, seconds) in counts.items():
        record(promise, tried=int(tried), held=int(held), seconds=seconds)


def note_elsewhere(test: str, *, phase: str, passed: bool, seconds: float) -> None:
    """Counts a test of another folder, where it holds a promise; what fails before or after its call counts too."""
    promise = next((words for place, words in ELSEWHERE.items() if test.startswith(place)), "")
    if promise and (phase == "call" or not passed):
        record(promise, tried=1, held=int(passed), seconds=seconds)


def seconds(beginning: str) -> float:
    """That the promises took so far which begin so."""
    return sum(count.seconds for promise, count in _counts.items() if promise.startswith(beginning))


def is_kept() -> bool:
    """Whether what is counted goes into faults.json."""
    return bool(os.environ.get(VARIABLE))


def write() -> None:
    """Puts this session's promises into faults.json; the others stay."""
    if not is_kept() or not _counts:
        return
    with FileLock(f"{PLACE}.lock"):
        known: list[dict[str, Any]] = json.loads(PLACE.read_text()) if PLACE.is_file() else []
        entries = {entry["promise"]: entry for entry in known}
        for promise, count in _counts.items():
            entries[promise] = {
                "promise": promise,
                "tried": count.tried,
                "held": count.held,
                "seconds": round(count.seconds, 1),
            }
        ordered = [entries[promise] for promise in sorted(entries)]
        PLACE.write_text(json.dumps(ordered, indent=1, sort_keys=True) + "\n")
    Path(f"{PLACE}.lock").unlink(missing_ok=True)


if __name__ == "__main__":
    print(" ".join(ELSEWHERE))
