"""Before a request is read: its token, and how long its body may be."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.api.counts import Counts


@dataclass(frozen=True)
class Limits:
    """Of a request: bytes of its body, files in it, and seconds until it is answered."""

    body: int = 32 * 2**20
    files: int = 64
    seconds: float = 60.0


class Guard:
    """Asks for the token, counts a body's bytes while they come in, and counts requests. Plain ASGI."""

    def __init__(self, app: Any, *, token: str, limits: Limits, counts: "Counts"):
        self._app, self._token, self._limits, self._counts = app, token, limits, counts

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Any]) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        from fastapi import HTTPException
        from fastapi.responses import JSONResponse

        headers = dict(scope["headers"])
        too_long = f"the body is longer than {self._limits.body:,} bytes, the most that is taken"
        received, began = 0, asyncio.get_running_loop().time()

        async def counted() -> Any:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limits.body:
                raise HTTPException(413, too_long, {"Connection": "close"})
            return message

        async def noted(message: Any) -> None:
            if message["type"] == "http.response.start":
                path = scope["path"] if scope["path"] in ("/", "/health", "/metrics", "/predict") else "other"
                self._counts.requests.labels(path, message["status"]).inc()
                if path == "/predict":
                    self._counts.seconds.observe(asyncio.get_running_loop().time() - began)
            await send(message)

        length = headers.get(b"content-length", b"0")
        if self._token and scope["path"] != "/health" and not self._knows(headers):
            refusal = JSONResponse({"detail": "give the token: Authorization: Bearer TOKEN"}, 401)
        elif length.isdigit() and int(length) > self._limits.body:
            refusal = JSONResponse({"detail": too_long}, 413, {"Connection": "close"})
        else:
            await self._app(scope, counted, noted)
            return
        await refusal(scope, receive, noted)

    def _knows(self, headers: dict[bytes, bytes]) -> bool:
        return hmac.compare_digest(headers.get(b"authorization", b""), f"Bearer {self._token}".encode())
