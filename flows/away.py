"""Prefect's server may go away during a run: what that means, in one line, and what may be left out meanwhile."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty
from typing import Any

import httpx

from headstart.errors import HeadstartError

log = logging.getLogger("headstart")

OVERLOADED = (408, 429, 502, 503)  # what Prefect itself tries again after
UNREACHED = "Failed to reach API"  # as Prefect puts it, in a RuntimeError


@contextmanager
def naming_prefect() -> Iterator[None]:
    """Makes of a server that does not answer, within the block, one clear error. Prefect has tried for a minute then.

    Raises:
        HeadstartError: see above.
    """
    try:
        yield
    except HeadstartError:
        raise
    except Exception as error:
        if not means_away(error):
            raise
        _drop_undelivered()
        where = os.environ.get("PREFECT_API_URL", "")
        raise HeadstartError(
            f"Prefect's server at {where} does not answer any more ({_words(error)}); finished cells and steps are "
            "kept. Run again when it is back, or without PREFECT_API_URL for a server of the run's own"
        ) from error


@contextmanager
def suppress_away() -> Iterator[None]:
    """What is for show only is left out while the server does not answer; other errors go on."""
    try:
        yield
    except Exception as error:
        if not means_away(error):
            raise
        log.warning("Prefect's server does not answer (%s); the run goes on", _words(error))


@contextmanager
def without_retries() -> Iterator[None]:
    """Prefect asks once within the block, where it would ask for a minute: nothing waits for what is for show only."""
    from prefect.context import SettingsContext

    here = SettingsContext.get()
    if here is None:
        yield
        return
    with SettingsContext(profile=here.profile, settings=_once_only(here.settings)):
        yield


_made: list[Any] = []  # settings, and the same ones without retries: to make them takes 50 ms


def _once_only(settings: Any) -> Any:
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES

    if not _made or _made[0] is not settings:
        _made[:] = [settings, settings.copy_with_update(updates={PREFECT_CLIENT_MAX_RETRIES: 0})]
    return _made[1]


def means_away(error: BaseException) -> bool:
    """Whether an error comes of a server that cannot be reached."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, httpx.TransportError) or (isinstance(seen, RuntimeError) and UNREACHED in str(seen)):
            return True
        if isinstance(seen, httpx.HTTPStatusError) and seen.response.status_code in OVERLOADED:
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _drop_undelivered() -> None:
    """Drops the events and log lines that Prefect still wants to send: at exit it takes 7 s to give one event up."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for service in (EventsWorker._instances | APILogWorker._instances).values():
        with suppress(Empty):
            while True:
                service._queue.get_nowait()
                service._queue.task_done()


def _words(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
