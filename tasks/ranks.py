"""Ranks: the processes that train one network together, one a device. They end together, however one of them ends.

Each is a fresh process (CUDA cannot be used in a forked one). The parent only watches: it hears what the first rank
has to say, and when one dies it stops the others at once instead of leaving them to wait for it.
"""

import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError, OutOfMemoryError
from headstart.training.accelerator import Accelerator
from headstart.training.settings import Precision
from tasks.leftovers import mark_children
from tasks.workers import LOOKS, SILENT_SECONDS, Silence, begin, in_words

SETTLE = 1.0  # seconds after a first failure in which its cause may still show: a dead rank breaks off the others' talk

log = logging.getLogger("headstart")

Tell = Callable[[Any], None]
RankWork = Callable[[Accelerator, Tell], None]


def run_ranks(work: RankWork, devices: Sequence[str], precision: Precision = "auto") -> Iterator[Any]:
    """Runs `work` in one process for each device, and yields what the first one tells, as it comes.

    work: a picklable function of a started accelerator and of `tell`, which does nothing in the other ranks. Where it
    does not fit into memory it is run again, and has to pass over what is finished; the accelerator's pieces are those
    of what it comes to first. devices: torch's names; the same
    one may stand there several times, as the CPU does. Log lines of the first rank appear here.

    Raises:
        HeadstartError: a rank died; or what a rank raised of ours.
        RuntimeError: a rank raised anything else; its traceback is in it.
    """
    os.environ.setdefault(
        "TORCH_CPP_LOG_LEVEL", "ERROR"
    )  # read when a rank loads torch; its warnings tell a user nothing
    pieces = 1
    while True:
        try:
            yield from _run_once(work, devices, precision, pieces)
            return
        except OutOfMemoryError as error:
            pieces = error.pieces
            log.warning("%s: all processes go on from the last checkpoint, each step in %d pieces", error, pieces)


def _run_once(work: RankWork, devices: Sequence[str], precision: Precision, pieces: int) -> Iterator[Any]:
    mark_children()
    context = multiprocessing.get_context("spawn")
    ranks: list[BaseProcess] = []
    ends: list[Connection] = []
    with tempfile.TemporaryDirectory(prefix="headstart-ranks-") as folder:
        try:
            for rank, device in enumerate(devices):
                accelerator = Accelerator(
                    device,
                    rank=rank,
                    world=len(devices),
                    meeting=str(Path(folder, "meeting")),
                    pieces=pieces,
                    precision=precision,
                )
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(
                    target=_rank, args=(work, accelerator, theirs, os.getpid()), name=f"rank {rank}", daemon=True
                )
                process.start()
                theirs.close()
                ranks.append(process)
                ends.append(ours)
            yield from _listen(ranks, ends)
        finally:
            for process in ranks:
                process.kill()
            for process in ranks:
                process.join()
            for end in ends:
                end.close()


def _listen(ranks: Sequence[BaseProcess], ends: Sequence[Connection]) -> Iterator[Any]:
    """What is told, until all have ended well; the first failure ends it."""
    failures: dict[int, BaseException] = {}
    open_ends, deadline = list(ends), float("inf")
    silence, look = Silence(), time.monotonic() + SILENT_SECONDS / LOOKS
    while waiting := [*open_ends, *(process.sentinel for process in ranks if process.exitcode is None)]:
        for ready in wait(waiting, timeout=max(0.0, min(deadline, look) - time.monotonic())):
            if not isinstance(ready, Connection):
                continue  # it ended, which its exit code tells
            try:
                kind, content = ready.recv()
            except (EOFError, OSError):
                open_ends.remove(ready)
                continue
            if kind == "told":
                yield content
            elif kind == "log":
                logging.getLogger(content.name).handle(content)
            else:
                failures[ends.index(ready)] = content
        for rank, process in enumerate(ranks):
            if process.exitcode and rank not in failures and ends[rank] not in open_ends:
                failures[rank] = _death(rank, len(ranks), process.exitcode)
        if time.monotonic() >= look:
            look = time.monotonic() + SILENT_SECONDS / LOOKS
            if silence.look(ranks):
                raise HeadstartError(
                    f"the processes that train together have done nothing for {SILENT_SECONDS:g} s: {in_words(ranks)}; "
                    "they were ended. Checkpoints are kept: run again to go on"
                )
        if failures:
            deadline = min(deadline, time.monotonic() + SETTLE)
        if time.monotonic() >= deadline or any(isinstance(failure, HeadstartError) for failure in failures.values()):
            break
    if failures:
        raise _cause(list(failures.values()))


def _death(rank: int, count: int, code: int) -> HeadstartError:
    """Of a rank that ended without a word of its own."""
    how = f"killed by {signal.Signals(-code).name}; out of memory, perhaps" if code < 0 else f"exit code {code}"
    return HeadstartError(
        f"process {rank + 1} of the {count} that train together died ({how}); the others were stopped and nothing of "
        "that training is published. Checkpoints are kept: run again to go on"
    )


def _cause(failures: Sequence[BaseException]) -> BaseException:
    """The one to tell: a death or an error of ours before what broke in another rank in consequence."""
    return next((failure for failure in failures if isinstance(failure, HeadstartError)), failures[0])


def _rank(work: RankWork, accelerator: Accelerator, end: Connection, parent: int) -> None:
    begin(parent)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # as in the command itself
    leads = accelerator.leads
    if leads:
        log.setLevel(logging.INFO)
        log.addHandler(_Sending(end))
        log.propagate = False
    code = 0
    try:
        accelerator.start()
        work(accelerator, (lambda content: end.send(("told", content))) if leads else (lambda content: None))
        accelerator.stop()
    except Exception as error:
        code = 1
        ours = isinstance(error, HeadstartError)
        trace = f"process {accelerator.rank + 1} of {accelerator.world} failed:\n{traceback.format_exc()}"
        with suppress(OSError):  # the parent may be gone
            end.send(("failed", error if ours else RuntimeError(trace)))
    end.close()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # not by way of destructors, which take seconds, or wait for the other ranks


class _Sending(logging.Handler):
    """Log lines go to the parent, as they are after formatting."""

    def __init__(self, end: Connection):
        super().__init__()
        self._end = end

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args, record.exc_info = record.getMessage(), None, None
        with suppress(OSError):
            self._end.send(("log", record))
