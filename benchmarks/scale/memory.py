"""The peak memory of this process, as Linux counts it, during a block."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
PEAK_ALONE = "5"  # what sets VmHWM back to what is resident now: proc(5)
EVERY = 0.02  # seconds


@dataclass
class Peak:
    """MiB. before: resident when the block began, libraries included. resident: at most during the block (VmHWM, set
    back before it). anonymous: at most during it, without pages of files (RssAnon; looked at every 20 ms)."""

    before: float = 0.0
    resident: float = 0.0
    anonymous: float = 0.0


def status() -> dict[str, float]:
    """VmRSS, VmHWM, RssAnon and others, MiB."""
    rows = (line.split() for line in STATUS.read_text().splitlines())
    return {row[0].rstrip(":"): int(row[1]) / 1024 for row in rows if len(row) == 3 and row[2] == "kB"}


@contextmanager
def peak() -> Iterator[Peak]:
    """Measures a block."""
    CLEAR.write_text(PEAK_ALONE)
    found, done = Peak(before=status()["VmRSS"]), threading.Event()

    def look() -> None:
        while not done.wait(EVERY):
            found.anonymous = max(found.anonymous, status()["RssAnon"])

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()
        last = status()
        found.anonymous = max(found.anonymous, last["RssAnon"])
        found.resident = last["VmHWM"]
