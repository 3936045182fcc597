"""From the bytes of a file to a row, in worker processes: one that dies of a file, or hangs, costs that file alone.

Which of the files at work killed it cannot be told, so each of them is tried once more in a process that has no other.
"""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import TYPE_CHECKING, Any

from tasks import workers

if TYPE_CHECKING:
    from headstart.modalities.decoded import Decoded

SECONDS = 15.0  # that a file may take to decode, after which its process is ended; the largest takes 2


def decode_in_time(content: bytes, modality: str, how: Any) -> "Decoded":
    """Decodes a file's bytes as ingest does. Runs in a worker process, which the kernel ends if that takes too long."""
    from headstart.prediction.inputs import decode_bytes

    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # no handler of Python's: it would wait for the decoder to return
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        return decode_bytes(content, modality, how)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class Decoders:
    """The processes that decode for one model.

    modality, how: as its rows are decoded. function: what they run, other than decode_in_time for tests alone.
    """

    def __init__(self, modality: str, how: Any, function: "Callable[[bytes, str, Any], Decoded]" = decode_in_time):
        self._work = partial(function, modality=modality, how=how)
        self._one_at_a_time = asyncio.Lock()
        self._alone: Executor | None = None

    async def decode(self, content: bytes) -> "Decoded":
        """The row, or the reason why there is none. Never raises for a bad file."""
        from headstart.modalities.decoded import Decoded

        executor = workers.pool()
        try:
            return await self._in(executor, content)
        except BrokenProcessPool:
            if workers.pool.cache_info().currsize and workers.pool() is executor:
                workers.pool.cache_clear()  # the next image has new ones
        async with self._one_at_a_time:
            self._alone = self._alone or _process()
            try:
                return await self._in(self._alone, content)
            except BrokenProcessPool:
                self._alone = None
                return Decoded(None, "", f"DECODER_CRASH: the process that read it died of it, or took {SECONDS:g} s")

    def stop(self) -> None:
        """Ends them at once."""
        workers.stop()  # and with them any other child of this process
        if self._alone:
            self._alone.shutdown(cancel_futures=True)

    async def _in(self, executor: Executor, content: bytes) -> "Decoded":
        return await asyncio.get_running_loop().run_in_executor(executor, self._work, content)


def _process() -> Executor:
    """One that has no image but that which it is given."""
    kind = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(kind)
    return ProcessPoolExecutor(1, mp_context=context, initializer=workers.begin, initargs=(os.getpid(),))
