"""Where the flow's own words go: the log while a flow runs, standard output before and after."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger("headstart")
log.setLevel(logging.INFO)  # Prefect keeps what is logged, and sets no level itself


def say(*lines: str) -> None:
    """Logs each line; Prefect shows them in the terminal and in its UI."""
    for line in lines:
        log.info("%s", line)


class _Terminal(logging.Handler):
    """Writes to whatever sys.stderr is now, so that lines go above a progress bar and not into it."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"{self.format(record)}\n")
        sys.stderr.flush()


@contextmanager
def log_to_terminal() -> Iterator[None]:
    """Writes the log to standard error for the length of the block; Prefect's own handler feeds its UI alone.

    What a handler cannot send is not printed by it: Prefect's begins a line then and does not end it, and the next
    line of ours would not stand at the beginning of one.
    """
    printed, logging.raiseExceptions = logging.raiseExceptions, False
    handler = _Terminal()
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", datefmt="%H:%M:%S"))
    log.addHandler(handler)
    log.propagate = False  # or Prefect's console prints each line once more
    try:
        yield
    finally:
        logging.raiseExceptions = printed
        log.removeHandler(handler)


def show(*lines: str) -> None:
    """Prints each line to standard output."""
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
