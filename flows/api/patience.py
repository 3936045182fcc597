"""uvicorn's HTTP protocol with an end to its patience: a slow client holds a connection for a stated time at most.

uvicorn itself waits for ever for a request's header, and for an answer to be taken.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from flows.api.guard import Limits

LOOK_SECONDS = 0.5
READ = 32 * 2**10  # bytes at a time: what is read beyond a body's limit is at most this
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def patient(limits: Limits) -> type[asyncio.Protocol]:
    """The protocol with these limits, as uvicorn takes it: a class."""

    class Patient(_Patient):
        _limits = limits

    return Patient


class _Patient(H11Protocol):
    _limits: Limits

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        transport.max_size = READ  # asyncio's own transport reads 256 KiB at a time
        self._at: tuple[object, bool] = (None, False)  # the newest request, and whether it is being answered
        self._since = self.loop.time()
        self._timer = self.loop.call_later(LOOK_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete and self.cycle.body:
            self.flow.pause_reading()  # until the application asks for more

    def _look(self) -> None:
        """Closes the connection where what it is at takes too long, and cuts it where it does not even close."""
        busy = self.cycle is not None and not self.cycle.response_complete
        if (self.cycle, busy) != self._at:
            self._at, self._since = (self.cycle, busy), self.loop.time()
        if self.loop.time() - self._since > (self._limits.longest if busy else self._limits.head):
            if not busy and not self.transport.is_closing():
                self.transport.write(TOO_SLOW)
                self.transport.close()
                self._since = self.loop.time()
            else:
                self.transport.abort()
                return
        self._timer = self.loop.call_later(LOOK_SECONDS, self._look)
