"""Runs of a worker that is to be stopped are cancelled as by a click on their pages: stopped is not crashed.

A process that just gets SIGTERM calls itself crashed, and of a crash people are told.
"""

import time
from contextlib import suppress
from http.client import HTTPException

import psutil

from flows.serving.served import ask

RUN = "PREFECT__FLOW_RUN_ID"  # in the environment of a flow run's process, by Prefect's worker
WORDS = "stopped with `headstart serve`; finished cells and steps are kept"
ENDED_SECONDS = 5.0  # that the worker has to say how a run ended whose process is gone
STEP_SECONDS = 0.2
TRIES = 3


def end_runs(api: str, worker: int, *, seconds: float) -> None:
    """Ends the flow runs of a worker's process, and waits until they have said how.

    What does not end in these seconds, or cannot be cancelled as no server answers, gets SIGTERM, and as long again.
    """
    with suppress(psutil.Error):
        processes = psutil.Process(worker).children()
        runs = [run for process in processes if (run := _run_of(process))]
        cancelled = [run for run in runs if _set(api, run, "CANCELLING")]
        left = psutil.wait_procs(processes, timeout=seconds)[1] if cancelled else processes
        for process in left:
            process.terminate()
        psutil.wait_procs(left, timeout=seconds)
        _conclude(api, runs)


def _run_of(process: psutil.Process) -> str:
    """The flow run that a process is of; "" where it is of none."""
    try:
        return str(process.environ().get(RUN, ""))
    except psutil.Error:
        return ""


def _conclude(api: str, runs: list[str]) -> None:
    """Waits until the worker has said that they were cancelled, and says why; a run that ended by itself stands.

    One that took too long to stop, and got SIGTERM, has called itself crashed by now.
    """
    end = time.monotonic() + ENDED_SECONDS
    while any(_state(api, run) == "CANCELLING" for run in runs) and time.monotonic() < end:
        time.sleep(STEP_SECONDS)
    for run in runs:
        if _state(api, run) in ("CANCELLING", "CANCELLED", "CRASHED"):
            _set(api, run, "CANCELLED", force=True)


def _state(api: str, run: str) -> str:
    """Its type; "" where the server does not say."""
    try:
        return str(ask(f"{api}/flow_runs/{run}")["state_type"])
    except (OSError, HTTPException, ValueError):
        return ""


def _set(api: str, run: str, kind: str, *, force: bool = False) -> bool:
    """Whether the server took the state."""
    state = {"type": kind, "name": kind.capitalize(), "message": WORDS}
    for _ in range(TRIES):  # a busy server may be late
        with suppress(OSError, HTTPException, ValueError):
            said = ask(f"{api}/flow_runs/{run}/set_state", {"state": state, "force": force})
            return bool(said.get("status") == "ACCEPT")
    return False
