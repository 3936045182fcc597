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


def seconds(beginning: str) -> float:
    """That the promises took so far which begin so."""
    return sum(count.seconds for promise, count in _counts.items() if promise.startswith(beginning))


def write() -> None:
    """Puts this session's promises into faults.json; the others stay."""
    if not os.environ.get(VARIABLE) or not _counts:
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
