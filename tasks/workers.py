"""Worker processes: one-thread processes, one a core, that cells and decoders run in on a CPU.

Two processes of one thread each do twice the work of one; two of two threads each were measured 3.7 times slower.
The pool starts with the first piece of work and serves every step of the process.
"""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, InvalidStateError, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import cache
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import psutil

from headstart.errors import HeadstartError
from tasks.leftovers import mark_children

SILENT_SECONDS = 300.0  # that workers may have work and do nothing
LOOKS = 10  # at them in that time
LEAST_SHARE = 0.01  # of a core that work takes; a worker that looks for its parent takes a tenth of it

log = logging.getLogger("headstart")

A = TypeVar("A")
B = TypeVar("B")


@cache
def pool() -> Executor:
    """The process's pool of workers. They are started from a clean server process, so that no thread is forked."""
    return Pool()


class Pool(Executor):
    """Processes that are started anew with the next piece of work where one of them died; what it was at is lost."""

    def __init__(self) -> None:
        self._inner = _start()

    def submit(self, function: Callable[..., B], /, *args: Any, **kwargs: Any) -> Future[B]:
        try:
            return self._inner.submit(function, *args, **kwargs)
        except BrokenExecutor:
            self._inner.shutdown(wait=False)
            self._inner = _start()
            return self._inner.submit(function, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._inner.shutdown(wait, cancel_futures=cancel_futures)


def _start() -> "Watched":
    mark_children()
    kind = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    return Watched(
        max_workers=cores(), mp_context=multiprocessing.get_context(kind), initializer=begin, initargs=(os.getpid(),)
    )


class Watched(ProcessPoolExecutor):
    """A pool that notices workers that hang: all of them are ended then, which those who wait for results are told.

    Workers hang that have work and that for SILENT_SECONDS use less of a core than any work does: they were frozen, or
    wait for a disk or for a file that gives nothing.
    """

    def __init__(self, *given: Any, **named: Any):
        super().__init__(*given, **named)
        self._under_way: set[Future[Any]] = set()
        self._ends = threading.Event()
        self._watching: threading.Thread | None = None

    def submit(self, *given: Any, **named: Any) -> "Future[Any]":
        """As a pool does."""
        future = super().submit(*given, **named)
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        if self._watching is None:
            self._watching = threading.Thread(target=self._watch, name="workers", daemon=True)
            self._watching.start()
        return future

    def shutdown(self, *given: Any, **named: Any) -> None:
        """As a pool does."""
        self._ends.set()
        super().shutdown(*given, **named)

    def _watch(self) -> None:
        silence = Silence()
        while not self._ends.wait(SILENT_SECONDS / LOOKS):
            workers = multiprocessing.active_children()
            if not self._under_way:
                silence = Silence()
            elif silence.look(workers):
                log.error("the workers have done nothing for %g s and are ended: %s", SILENT_SECONDS, in_words(workers))
                for worker in workers:
                    worker.kill()
                return


class Silence:
    """Whether processes that have work do none of it, by the processor time that they use.

    Counted in looks, which are SILENT_SECONDS / LOOKS apart: where this process was frozen with them, none was taken.
    """

    def __init__(self) -> None:
        self._used = 0.0
        self._looks = 0

    def look(self, processes: Sequence[BaseProcess]) -> bool:
        """True once they have been silent for SILENT_SECONDS."""
        used = 0.0
        for process in processes:
            with suppress(psutil.Error):
                times = psutil.Process(process.pid).cpu_times()
                used += times.user + times.system
        did = used - self._used > LEAST_SHARE * SILENT_SECONDS / LOOKS
        self._used = used
        self._looks = 0 if did else self._looks + 1
        return self._looks >= LOOKS


def in_words(processes: Sequence[BaseProcess]) -> str:
    """Such as "process 4711 (stopped)"."""
    found = []
    for process in processes:
        with suppress(psutil.Error):
            found.append(f"process {process.pid} ({psutil.Process(process.pid).status()})")
    return ", ".join(found)


def stop() -> None:
    """Ends the workers at once. Left alone, a process that was told to stop waits for the cells that they are at."""
    if pool.cache_info().currsize:
        executor = pool()
        pool.cache_clear()
        threading.excepthook = _unless_cancelled
        for worker in multiprocessing.active_children():
            worker.kill()
        executor.shutdown(cancel_futures=True)


def _unless_cancelled(what: threading.ExceptHookArgs) -> None:
    """Python's pool trips over cancelled work where its workers are gone, in a thread that ends anyway: not told."""
    if what.exc_type is not InvalidStateError:
        threading.__excepthook__(what)


def get_ready() -> None:
    """Lets the workers import what cells need while this process is still busy with something else."""
    for _ in range(cores()):
        pool().submit(_import_cells)


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_all(function: Callable[[A], B], items: Sequence[A]) -> Iterator[tuple[int, B]]:
    """Runs `function` on each item in the workers; yields (position, result) as they come in.

    Raises:
        HeadstartError: a worker died, most likely for lack of memory.
    """
    executor = pool()
    futures = {executor.submit(function, item): position for position, item in enumerate(items)}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool:
        pool.cache_clear()
        raise HeadstartError(
            "a worker process died (killed, hung, or out of memory); finished cells are kept, run again to go on"
        ) from None
    finally:
        for future in futures:
            future.cancel()


def _import_cells() -> None:
    import headstart.cells.run  # noqa: F401  (torch comes with it, which takes seconds)


def begin(parent: int) -> None:
    """What a worker does first: it ignores Ctrl-C, which its parent handles, and dies with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"
    _die_with(parent)


def _die_with(parent: int) -> None:
    def watch() -> None:
        while _alive(parent):
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _alive(pid: int) -> bool:
    """Whether a process is at work: one that was killed and that nobody has waited for yet still has its number."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
