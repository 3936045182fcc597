"""Progress bars on a terminal, for whatever takes longer than a moment; elsewhere the log lines have to do."""

import sys
import time
from collections.abc import Sequence
from statistics import median
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PATIENCE = 2.0  # seconds after which a bar is worth showing


def time_left(finished: Sequence[tuple[float, float]], waiting: Sequence[float], *, workers: int) -> float | None:
    """Seconds until the waiting cells are done: the median pace of the finished ones; None where that says nothing.

    finished: (steps, seconds) of cells; steps is 0 for one that is solved in closed form. waiting: steps of the others.
    """
    paces = [seconds / steps for steps, seconds in finished if steps]
    solved = [seconds for steps, seconds in finished if not steps]
    if (any(waiting) and not paces) or (not all(waiting) and not solved):
        return None
    seconds = [steps * median(paces) if steps else median(solved) for steps in waiting]
    return max(sum(seconds) / workers, *seconds) if seconds else 0.0


def in_words(seconds: float) -> str:
    """Such as "about 40 s left", "about 3 min left"."""
    if seconds < 55:
        return f"about {max(5, round(seconds / 5) * 5)} s left"
    return f"about {round(seconds / 60)} min left" if seconds < 5400 else f"about {seconds / 3600:.1f} h left"


class Bars:
    """One bar at a time; a context manager that leaves the terminal as it was."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._what = ""
        self._since = 0.0

    def __enter__(self) -> "Bars":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def show(self, what: str, done: int, total: int) -> None:
        """Takes note of progress; draws it on a terminal once it has lasted for two seconds."""
        if not sys.stderr.isatty():
            return
        if what != self._what:
            self._close()
            self._what, self._since = what, time.monotonic()
        if self._progress is None and time.monotonic() - self._since > PATIENCE and done < total:
            self._open(what, total)
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=done, total=total)
        if done >= total:
            self._close()

    def _open(self, what: str, total: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._progress.add_task(what, total=total)
        self._progress.start()

    def _close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
        self._progress, self._what = None, ""
