"""Flow runs whose process was killed would stand as running for ever: the next `headstart serve` closes them."""

from datetime import datetime

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Crashed

from tasks.status import running
from tasks.workspace import Workspace

OPEN = [StateType.RUNNING, StateType.CANCELLING, StateType.PENDING]
AT_WORK = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=OPEN)))
GONE = "its process is gone: killed, or the machine went down"


def close_orphans(workspace: Workspace, before: datetime) -> list[str]:
    """Closes what has been running since before this time, when nothing served; returns the runs' names.

    A `headstart run` that is at work in the checkout keeps its own.
    """
    busy = running(workspace) is not None
    filtered = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=OPEN)))
    with get_client(sync_client=True) as client:
        found = [run for run in client.read_flow_runs(flow_run_filter=filtered) if _is_orphan(run, before, busy)]
        for run in found:
            within = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
            for task_run in client.read_task_runs(flow_run_filter=within, task_run_filter=AT_WORK):
                client.set_task_run_state(task_run.id, Crashed(message=GONE), force=True)
            client.set_flow_run_state(run.id, Crashed(message=GONE), force=True)
    return [run.name for run in found]


def _is_orphan(run: FlowRun, before: datetime, busy: bool) -> bool:
    served = run.deployment_id is not None or run.parent_task_run_id is not None
    return run.state is not None and run.state.timestamp < before and (served or not busy)
