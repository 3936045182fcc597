"""Flow runs whose process was killed would stand as running for ever: the next start closes them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
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


def close_orphans(workspace: Workspace, before: datetime, *, alone: bool = False) -> list[str]:
    """Closes what has been running since before this time, when nothing served; returns the runs' names.

    A `headstart run` that is at work in the checkout keeps its own. alone: it is that one which calls, so that nothing
    else can be at work.
    """
    busy = not alone and running(workspace) is not None
    filtered = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=OPEN)))
    with get_client(sync_client=True) as client:
        found = [run for run in client.read_flow_runs(flow_run_filter=filtered) if _is_orphan(run, before, busy)]
        _close(client, found)
    return [run.name for run in found]


def close_left(workspace: Workspace, *, own_server: bool) -> None:
    """What the workspace's runs that were killed left open, before another one begins. Called by its holder.

    own_server: Prefect's server is this run's alone; on another one, only what is known to be of this workspace.
    """
    if own_server:
        close_orphans(workspace, datetime.now(UTC), alone=True)
    elif left := workspace.unfinished_runs():
        close_runs(left)


def close_runs(ids: Sequence[str]) -> None:
    """Closes these runs, as far as they are still open: on a server that others use too."""
    filtered = FlowRunFilter(
        id=FlowRunFilterId(any_=[UUID(one) for one in ids]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=OPEN)),
    )
    with get_client(sync_client=True) as client:
        _close(client, client.read_flow_runs(flow_run_filter=filtered))


def _close(client: SyncPrefectClient, runs: Sequence[FlowRun]) -> None:
    for run in runs:
        within = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
        for task_run in client.read_task_runs(flow_run_filter=within, task_run_filter=AT_WORK):
            client.set_task_run_state(task_run.id, Crashed(message=GONE), force=True)
        client.set_flow_run_state(run.id, Crashed(message=GONE), force=True)


def _is_orphan(run: FlowRun, before: datetime, busy: bool) -> bool:
    served = run.deployment_id is not None or run.parent_task_run_id is not None
    return run.state is not None and run.state.timestamp < before and (served or not busy)
