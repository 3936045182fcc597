"""What the harnesses have tried and what held: faults.json beside this file, one entry a promise."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = Path(__file__).parent / "faults.json"


@dataclass
class Entry:
    """promise: in words, as docs/reliability.md has it. tried, held: counts. seconds: that the trying took."""

    promise: str
    tried: int = 0
    held: int = 0
    seconds: float = 0.0


@contextmanager
def tally(promise: str) -> Iterator[Entry]:
    """Gives an entry to count in, and writes it at the end of the block, also where a try failed."""
    entry, began = Entry(promise), time.monotonic()
    try:
        yield entry
    finally:
        entry.seconds = round(time.monotonic() - began, 1)
        known = json.loads(FILE.read_text()) if FILE.is_file() else []
        others = [one for one in known if one["promise"] != promise]
        FILE.write_text(json.dumps(sorted([*others, asdict(entry)], key=lambda one: one["promise"]), indent=1) + "\n")
