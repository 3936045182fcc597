"""Worker processes: one-thread processes, one a core, that cells and decoders run in on a CPU.

Two processes of one thread each do twice the work of one; two of two threads each were measured 3.7 times slower.
The pool starts with the first piece of work and serves every step of the process.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from typing import TypeVar

from headstart.errors import HeadstartError
from tasks.leftovers import mark_children

A = TypeVar("A")
B = TypeVar("B")


@cache
def pool() -> Executor:
    """The process's pool of workers. They are started from a clean server process, so that no thread is forked."""
    mark_children()
    kind = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    return ProcessPoolExecutor(
        max_workers=cores(), mp_context=multiprocessing.get_context(kind), initializer=begin, initargs=(os.getpid(),)
    )


def stop() -> None:
    """Ends the workers at once. Left alone, a process that was told to stop waits for the cells that they are at."""
    if pool.cache_info().currsize:
        executor = pool()
        pool.cache_clear()
        for worker in multiprocessing.active_children():
            worker.kill()
        executor.shutdown(cancel_futures=True)


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
            "a worker process died (killed, or out of memory); finished cells are kept, run again to go on"
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
    import threading
    import time

    def watch() -> None:
        while _alive(parent):
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _alive(pid: int) -> bool:
    """Whether a process is at work: one that was killed and that nobody has waited for yet still has its number."""
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
