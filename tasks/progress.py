"""Progress bars on a terminal, for whatever takes longer than a moment; elsewhere the log lines have to do."""

import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PATIENCE = 2.0  # seconds after which a bar is worth showing
BETWEEN = 5.0  # seconds between two lines on finished cells: there may be hundreds that take none


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


class Pace:
    """What is said of a grid's cells as they finish: when a line is due, and the time that is left.

    A cell takes more than its training: it is begun, predicts, and is written. How much, the clock tells from the first
    finished cell on; before it workers were being started, which no later cell waits for.
    """

    def __init__(self, *, workers: int, clock: Callable[[], float] = time.monotonic):
        self._workers, self._clock = workers, clock
        self._finished: list[tuple[float, float]] = []
        self._first = self._said = 0.0

    def take(self, steps: float, seconds: float) -> None:
        """Notes a finished cell, as time_left takes it."""
        self._finished.append((steps, seconds))
        if len(self._finished) == 1:
            self._first = self._clock()

    def is_due(self, *, left: int) -> bool:
        """Whether the cell just noted gets a line: the first, the last, and one every few seconds. left: cells."""
        now = self._clock()
        due = len(self._finished) == 1 or not left or now - self._said >= BETWEEN
        self._said = now if due else self._said
        return due

    def left(self, waiting: Sequence[float]) -> str:
        """The time left, in words; "" where that is not known yet or is nothing. waiting: steps of the others."""
        trained = time_left(self._finished, waiting, workers=self._workers)
        around = self._around()
        if trained is None or around is None or not waiting:
            return ""
        return in_words(trained + around * len(waiting) / self._workers)

    def _around(self) -> float | None:
        """Seconds of a cell beside its training; None where one short cell is all there is to tell it by."""
        _, *rest = trained = [seconds for _, seconds in self._finished]
        if not rest:
            return 0.0 if trained[0] >= BETWEEN else None
        return max(0.0, (self._clock() - self._first) * self._workers - sum(rest)) / len(rest)


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
