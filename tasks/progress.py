"""Progress bars on a terminal, for whatever takes longer than a moment; elsewhere the log lines have to do."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PATIENCE = 2.0  # seconds after which a bar is worth showing


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
