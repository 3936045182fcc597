"""Before a request is read: its token, how long its body may be and how long that may take to come in."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.api.counts import Counts


AGAIN = {"Connection": "close", "Retry-After": "1"}


@dataclass(frozen=True)
class Limits:
    """Of a request: bytes of its body, files in it, and how many seconds each part of it may take.

    requests: that are answered at once, /health aside. held: bytes of the bodies of all of them. head: until a
    request's header is in, or between two requests. quiet: until the next piece of its body. upload: until all of that
    is in. seconds: until it is answered.
    """

    body: int = 32 * 2**20
    files: int = 64
    requests: int = 256
    held: int = 512 * 2**20
    seconds: float = 60.0
    head: float = 10.0
    quiet: float = 10.0
    upload: float = 120.0

    @property
    def longest(self) -> float:
        """Seconds after which a connection is cut whatever it is at; a client may be slow to take its answer, too."""
        return self.upload + 2 * self.seconds


class Guard:
    """Asks for the token, counts a body's bytes while they come in, and counts requests. Plain ASGI."""

    def __init__(self, app: Any, *, token: str, limits: Limits, counts: "Counts"):
        self._app, self._token, self._limits, self._counts = app, token, limits, counts
        self._open, self._held = 0, 0  # requests that are not answered yet, and bytes of their bodies

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Any]) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        from fastapi.responses import JSONResponse

        headers = dict(scope["headers"])
        began = asyncio.get_running_loop().time()

        async def noted(message: Any) -> None:
            if message["type"] == "http.response.start":
                path = scope["path"] if scope["path"] in ("/", "/health", "/metrics", "/predict") else "other"
                self._counts.requests.labels(path, message["status"]).inc()
                if path == "/predict":
                    self._counts.seconds.observe(asyncio.get_running_loop().time() - began)
            await send(message)

        length = headers.get(b"content-length", b"0")
        if self._token and scope["path"] != "/health" and not self._knows(headers):
            wanted = {"Connection": "close", "WWW-Authenticate": "Bearer"}
            refusal = JSONResponse({"detail": "give the token: Authorization: Bearer TOKEN"}, 401, wanted)
        elif length.isdigit() and int(length) > self._limits.body:
            refusal = JSONResponse({"detail": self._too_long}, 413, {"Connection": "close"})
        elif self._open >= self._limits.requests and scope["path"] != "/health":
            refusal = JSONResponse({"detail": "too many requests at once"}, 503, AGAIN)
        else:
            body = _Body()
            self._open += 1
            try:
                await self._app(scope, self._counted(receive, body, began + self._limits.upload), noted)
            finally:
                self._open -= 1
                self._held -= body.received
            return
        await refusal(scope, receive, noted)

    def _counted(
        self, receive: Callable[[], Awaitable[Any]], body: "_Body", end: float
    ) -> Callable[[], Awaitable[Any]]:
        """As `receive`, until the body is too long or too slow. end: when all of it must be in, by the loop's clock."""
        from fastapi import HTTPException

        async def counted() -> Any:
            if body.complete:
                return await receive()
            try:
                async with asyncio.timeout_at(min(end, asyncio.get_running_loop().time() + self._limits.quiet)):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, self._too_slow, {"Connection": "close"}) from None
            length = len(message.get("body", b""))
            self._counts.received.inc(length)
            self._held += length
            body.received, body.complete = body.received + length, not message.get("more_body")
            if body.received > self._limits.body:
                raise HTTPException(413, self._too_long, {"Connection": "close"})
            if self._held > self._limits.held:
                raise HTTPException(503, "too much comes in at once", AGAIN)
            return message

        return counted

    @property
    def _too_long(self) -> str:
        return f"the body is longer than {self._limits.body:,} bytes, the most that is taken"

    @property
    def _too_slow(self) -> str:
        return (
            f"the body was too slow: {self._limits.quiet:g} s without a byte, or more than {self._limits.upload:g} s "
            "in all"
        )

    def _knows(self, headers: dict[bytes, bytes]) -> bool:
        return hmac.compare_digest(headers.get(b"authorization", b""), f"Bearer {self._token}".encode())


@dataclass
class _Body:
    """How much of a body is in, and whether that is all of it."""

    received: int = 0
    complete: bool = False
