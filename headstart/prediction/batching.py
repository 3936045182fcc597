"""Prediction of images that come one by one and at once: they wait a moment for each other and go through together."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.errors import BusyError
from headstart.prediction.model import Model

LINGER = 0.005  # seconds that a batch that is not full waits for more
Answer = dict[str, Any]
Waiting = tuple[NDArray[np.uint8], "asyncio.Future[Answer]"]


class Batcher:
    """Gathers images of concurrent callers into batches; one thread predicts them, in the order they came.

    most: images that may wait. watch: is told how many images each batch had. Used as an asynchronous context manager:
    at its end what waits is still predicted.
    """

    def __init__(self, model: Model, *, batch_size: int, most: int, watch: Callable[[int], None] = lambda count: None):
        self._model = model
        self._batch_size = batch_size
        self._most = most
        self._watch = watch
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue()

    async def __aenter__(self) -> "Batcher":
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._queue.join()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._thread.shutdown()

    @property
    def waiting(self) -> int:
        """Images that are not in a batch yet."""
        return self._queue.qsize()

    async def predict(self, images: Sequence[NDArray[Any]]) -> list[Answer]:
        """What the model says of each image (channels, height, width), by column; all of a call wait, or none.

        Raises:
            BusyError: too many rows wait already.
        """
        if self.waiting + len(images) > self._most:
            raise BusyError(f"{self.waiting} rows wait, and at most {self._most} may; try again in a moment")
        loop = asyncio.get_running_loop()
        answers: list[asyncio.Future[Answer]] = [loop.create_future() for _ in images]
        for waiting in zip(images, answers, strict=True):
            self._queue.put_nowait(waiting)
        return list(await asyncio.gather(*answers))

    async def _run(self) -> None:
        while True:
            batch = [await self._queue.get()]
            if self.waiting + 1 < self._batch_size:
                await asyncio.sleep(LINGER)
            while self.waiting and len(batch) < self._batch_size:
                batch.append(self._queue.get_nowait())
            await self._answer(batch)
            for _ in batch:
                self._queue.task_done()

    async def _answer(self, batch: Sequence[Waiting]) -> None:
        wanted = [(pixels, answer) for pixels, answer in batch if not answer.cancelled()]
        if not wanted:
            return
        images = np.stack([pixels for pixels, _ in wanted])
        try:
            table = await asyncio.get_running_loop().run_in_executor(self._thread, self._model.predict, images)
        except Exception as error:  # each caller hears of it, and the next batch has its turn
            for _, answer in wanted:
                if not answer.done():
                    answer.set_exception(error)
            return
        self._watch(len(wanted))
        for row, (_, answer) in zip(table.to_dict("records"), wanted, strict=True):
            if not answer.done():
                answer.set_result({str(name): value for name, value in row.items()})
