"""From the bytes of files to an object each: decoded in worker processes, predicted with what others ask meanwhile."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import UploadFile

    from flows.api.decoders import Decoders
    from headstart.prediction.batching import Batcher


async def answer_each(decoders: "Decoders", batcher: "Batcher", files: "Sequence[UploadFile]") -> list[dict[str, Any]]:
    """An object a file, in their order: what the model says, or the error."""
    decoded = await asyncio.gather(*[decoders.decode(await file.read()) for file in files])
    said = iter(await batcher.predict([item.values for item in decoded if item.values is not None]))
    return [
        {"name": file.filename or "", **(_refusal(item.reason) if item.values is None else _answer(next(said)))}
        for file, item in zip(files, decoded, strict=True)
    ]


def _refusal(reason: str) -> dict[str, Any]:
    code, _, words = reason.partition(": ")
    return {"error": {"code": code, "reason": words}}


def _answer(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the table as an object, with its probabilities by class."""
    prefix = "probability."
    probabilities = {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}
    others = {name: value for name, value in row.items() if not name.startswith(prefix)}
    return others | ({"probabilities": probabilities} if probabilities else {})
