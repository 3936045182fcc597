"""A run in another process shows in Prefect's UI below the flow run that started it, as a subflow does.

Prefect links a subflow by a task run that stands for it in its parent; the parent's process makes one and hands its id
on in the environment.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from prefect import Flow, Task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentTaskRunId
from prefect.client.schemas.objects import FlowRun
from prefect.flow_engine import run_flow
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Pending, State

PARENT = "HEADSTART_PARENT_TASK_RUN"
PARENT_RUN = "HEADSTART_PARENT_FLOW_RUN"
GONE = "the process of this run was stopped; finished cells and steps are kept"


@contextmanager
def linked(name: str) -> Iterator[None]:
    """Within the block a process that calls `call` becomes a subflow of this flow run. name: of the subflow.

    However the block ends, the subflow does not hang: if its process did not say how it ended, it was cancelled.
    """
    here = UUID(str(flow_run.id))
    with get_client(sync_client=True) as client:
        stand_in = Task(fn=_nothing, name=name)
        task_run = client.create_task_run(stand_in, here, dynamic_key="0", name=name, state=Pending())
        os.environ.update({PARENT: str(task_run.id), PARENT_RUN: str(here)})
        ended = Cancelled(message=GONE)
        try:
            yield
            ended = Completed(message="no run was needed")
        finally:
            for variable in (PARENT, PARENT_RUN):
                del os.environ[variable]
            _close(client, task_run.id, ended)


def call(flow: Flow[Any, Any], settings: Any) -> Any:
    """Runs a flow, below the flow run of another process where there is one."""
    parent = os.environ.get(PARENT, "")
    if not parent:
        return flow(settings)
    parameters = {"settings": settings}
    with get_client(sync_client=True) as client:
        made = client.create_flow_run(
            flow, parameters=flow.serialize_parameters(parameters), parent_task_run_id=UUID(parent), state=Pending()
        )
    return run_flow(flow, flow_run=made, parameters=parameters)


def runs_shown() -> list[UUID]:
    """The flow runs on whose pages the result of this one belongs: its own, and the one that started it."""
    parent = os.environ.get(PARENT_RUN, "")
    return [UUID(str(flow_run.id)), *([UUID(parent)] if parent else [])]


def _close(client: SyncPrefectClient, task_run: UUID, ended: State[Any]) -> None:
    """ended: what stands for it where no subflow was started, or became of one whose process was stopped."""
    below = _below(client, task_run)
    for run in below:
        if run.state is None or not (run.state.is_completed() or run.state.is_failed() or run.state.is_cancelled()):
            client.set_flow_run_state(run.id, Cancelled(message=GONE), force=True)
    if not below:
        client.set_task_run_state(task_run, ended, force=True)


def _below(client: SyncPrefectClient, task_run: UUID) -> list[FlowRun]:
    filtered = FlowRunFilter(parent_task_run_id=FlowRunFilterParentTaskRunId(any_=[task_run]))
    return client.read_flow_runs(flow_run_filter=filtered)


def _nothing() -> None:
    """Stands for the subflow, which runs elsewhere."""
