"""From the bytes of files to an object each: decoded in worker processes, predicted with what others ask meanwhile."""

import asyncio
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import UploadFile

    from headstart.modalities.image import Decoded
    from headstart.prediction.batching import Batcher
    from tasks.predict import Opened


async def answer_each(opened: "Opened", batcher: "Batcher", files: "Sequence[UploadFile]") -> list[dict[str, Any]]:
    """An object a file, in their order: what the model says, or the error."""
    decoded = await asyncio.gather(*[_decoded(await file.read(), opened) for file in files])
    said = iter(await batcher.predict([item.pixels for item in decoded if item.pixels is not None]))
    return [
        {"name": file.filename or "", **(_refusal(item.reason) if item.pixels is None else _answer(next(said)))}
        for file, item in zip(files, decoded, strict=True)
    ]


async def _decoded(content: bytes, opened: "Opened") -> "Decoded":
    """In a worker process; one that dies of an image takes only that one along."""
    from headstart.modalities.image import Decoded
    from headstart.prediction.inputs import decode_bytes
    from tasks import workers

    card = opened.model.card
    executor = workers.pool()
    try:
        return await asyncio.get_running_loop().run_in_executor(
            executor, decode_bytes, content, card.image_size, card.channels
        )
    except BrokenProcessPool:
        if workers.pool.cache_info().currsize and workers.pool() is executor:
            workers.pool.cache_clear()  # the next image has new ones
        return Decoded(None, "", "DECODER_CRASH: the process that read it died, of this image or one beside it")


def _refusal(reason: str) -> dict[str, Any]:
    code, _, words = reason.partition(": ")
    return {"error": {"code": code, "reason": words}}


def _answer(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the table as an object, with its probabilities by class."""
    prefix = "probability."
    probabilities = {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}
    others = {name: value for name, value in row.items() if not name.startswith(prefix)}
    return others | ({"probabilities": probabilities} if probabilities else {})
