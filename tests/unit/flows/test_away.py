"""A Prefect server that went away: what is for show holds no training up, and our line stands on a line of its own."""

import logging
import sys
from queue import Queue
from types import SimpleNamespace

import httpx
import pytest

from flows import announce, away
from flows.cli import run_command
from flows.console import log_to_terminal
from headstart.errors import HeadstartError

AWAY = httpx.ConnectError("[Errno 111] Connection refused")


class Bars:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.shown = 0

    def show(self, what: str, done: int, total: int) -> None:
        self.shown += 1


class Prefect:
    """Stands where artifacts are made; answers or does not."""

    def __init__(self) -> None:
        self.away = False
        self.asked = 0
        self.retries: list[int] = []

    def make(self, *arguments: object, **keywords: object) -> int:
        from prefect.settings import PREFECT_CLIENT_MAX_RETRIES

        self.asked += 1
        self.retries.append(PREFECT_CLIENT_MAX_RETRIES.value())
        if self.away:
            raise AWAY
        return self.asked


@pytest.fixture
def prefect(monkeypatch):
    stand_in = Prefect()
    monkeypatch.setattr(announce, "create_progress_artifact", stand_in.make)
    monkeypatch.setattr(announce, "update_progress_artifact", stand_in.make)
    return stand_in


def test_a_server_that_is_away_is_asked_once_and_then_left_alone(prefect, monkeypatch):
    bars, now = Bars(), [1000.0]
    monkeypatch.setattr(announce, "time", SimpleNamespace(monotonic=lambda: now[0]))
    progress = announce.Progress(bars)
    prefect.away = True
    for done in range(30):
        progress.show("pretrain", done, 30)
        now[0] += 1.5
    assert bars.shown == 30, "the terminal has all of it"
    assert prefect.asked == 1
    now[0] += announce.LEFT_ALONE
    prefect.away = False
    progress.show("pretrain", 1, 30)
    now[0] += 1.5
    progress.show("pretrain", 2, 30)
    assert prefect.asked == 3, "it is back"


def test_what_is_for_show_is_asked_without_retries_and_only_that(prefect):
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES

    before = PREFECT_CLIENT_MAX_RETRIES.value()
    assert before > 0
    announce.Progress(Bars()).show("pretrain", 1, 2)
    assert prefect.retries == [0]
    assert PREFECT_CLIENT_MAX_RETRIES.value() == before


@pytest.mark.parametrize(("code", "is_away"), [(503, True), (502, True), (429, True), (404, False), (422, False)])
def test_a_server_that_is_overloaded_is_away_and_one_that_refuses_is_not(code, is_away):
    request = httpx.Request("POST", "http://127.0.0.1:1/api")
    error = httpx.HTTPStatusError("no", request=request, response=httpx.Response(code, request=request))
    assert away.means_away(error) == is_away


def test_the_end_drops_what_cannot_be_sent(monkeypatch):
    from prefect.events.worker import EventsWorker

    waiting = SimpleNamespace(_queue=Queue())
    for number in range(5):
        waiting._queue.put(number)
    monkeypatch.setattr(EventsWorker, "_instances", {1: waiting})
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    with pytest.raises(HeadstartError, match="http://127.0.0.1:1/api does not answer any more"), away.naming_prefect():
        raise AWAY
    assert waiting._queue.empty()
    assert waiting._queue.unfinished_tasks == 0


def test_prefects_handler_begins_no_line_that_ours_would_end_up_in(capsys):
    """Prefect's own code, with a client that reaches nobody: it would print "…: Connection refused" and no line end."""
    import asyncio

    from prefect.logging.handlers import APILogWorker

    class Nobody:
        async def create_logs(self, items: object) -> None:
            raise AWAY

    worker = SimpleNamespace(_client=Nobody())
    asyncio.run(APILogWorker._handle_batch(worker, []))
    assert capsys.readouterr().err.endswith("refused"), "or this test shows nothing any more"
    with log_to_terminal():
        asyncio.run(APILogWorker._handle_batch(worker, []))
        logging.getLogger("headstart").info("ours")
    assert capsys.readouterr().err.endswith("  ours\n")
    assert logging.raiseExceptions


def test_a_pipe_that_breaks_within_a_run_is_not_taken_for_a_closed_terminal(monkeypatch):
    """Exit code 1 without a word is for `headstart list datasets | head -1` alone."""

    def broken(options: object, rest: object) -> int:
        raise BrokenPipeError("a worker's pipe")

    monkeypatch.setattr("flows.cli._dispatch", broken)
    monkeypatch.setattr("signal.signal", lambda *arguments: None)
    with pytest.raises(BrokenPipeError, match="a worker's pipe"):
        run_command(["devices"])

    class Closed:
        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    assert run_command(["devices"]) == 1
