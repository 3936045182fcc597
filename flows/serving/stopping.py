"""Runs of a worker that is to be stopped are cancelled as by a click on their pages: stopped is not crashed.

A process that just gets SIGTERM calls itself crashed, and of a crash people are told.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError

import psutil

from flows.serving.served import ask

ADDRESS = "PREFECT_API_URL"
RUN = "PREFECT__FLOW_RUN_ID"  # in the environment of a flow run's process, by Prefect's worker
WORDS = "stopped with `headstart serve`; finished cells and steps are kept"
ENDED_SECONDS = 5.0  # that the worker has to say how a run ended whose process is gone
STEP_SECONDS = 0.2
LOCKED_SECONDS = 10.0  # that a server may take to have its database to itself


def end_runs(environment: Mapping[str, str], worker: int, *, seconds: float) -> None:
    """Ends the flow runs of a worker's process, and waits until they have said how.

    environment: of the worker, which says where Prefect's server is and what it asks for. What does not end in these
    seconds, or cannot be cancelled as no server answers, gets SIGTERM, and as long again.
    """
    with suppress(psutil.Error):
        processes = psutil.Process(worker).children()
        runs = [run for process in processes if (run := _run_of(process))]
        cancelled = [run for run in runs if _set(environment, run, "CANCELLING")]
        left = psutil.wait_procs(processes, timeout=seconds)[1] if cancelled else processes
        for process in left:
            process.terminate()
        psutil.wait_procs(left, timeout=seconds)
        _conclude(environment, runs)


def _run_of(process: psutil.Process) -> str:
    """The flow run that a process is of; "" where it is of none."""
    try:
        return str(process.environ().get(RUN, ""))
    except psutil.Error:
        return ""


def _conclude(environment: Mapping[str, str], runs: list[str]) -> None:
    """Waits until the worker has said that they were cancelled, and says why; a run that ended by itself stands.

    One that took too long to stop, and got SIGTERM, has called itself crashed by now.
    """
    end = time.monotonic() + ENDED_SECONDS
    while any(_state(environment, run) == "CANCELLING" for run in runs) and time.monotonic() < end:
        time.sleep(STEP_SECONDS)
    for run in runs:
        if _state(environment, run) in ("CANCELLING", "CANCELLED", "CRASHED"):
            _set(environment, run, "CANCELLED", force=True)


def _state(environment: Mapping[str, str], run: str) -> str:
    """Its type; "" where the server does not say."""
    try:
        return str(_answer(environment, run)["state_type"])
    except (OSError, HTTPException, ValueError):
        return ""


def _set(environment: Mapping[str, str], run: str, kind: str, *, force: bool = False) -> bool:
    """Whether the server took the state."""
    state = {"type": kind, "name": kind.capitalize(), "message": WORDS}
    try:
        said = _answer(environment, f"{run}/set_state", {"state": state, "force": force})
    except (OSError, HTTPException, ValueError):
        return False
    return bool(said.get("status") == "ACCEPT")


def _answer(environment: Mapping[str, str], place: str, body: object = None) -> Any:
    """What the server says; where its database is locked it asks (503) to be asked again, as its own clients do."""
    end = time.monotonic() + LOCKED_SECONDS
    while True:
        try:
            return ask(f"{environment[ADDRESS]}/flow_runs/{place}", body, environment=environment)
        except HTTPError as error:
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > end:
                raise
        time.sleep(STEP_SECONDS)
