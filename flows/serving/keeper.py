"""The process of `headstart serve` that tells Prefect what can be run here, says when all answers, and watches data.

`python -m flows.serving.keeper PID PREFECT MLFLOW [--shared]`, in the project. `--tidy STATE` makes MLflow's database
where there is none, closes the runs in it whose process was killed, and ends.
"""

import hashlib
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import psutil
from watchfiles import watch

from flows.console import show
from flows.serving import served
from flows.serving.processes import POOL
from flows.serving.ready import wait_for
from headstart.errors import HeadstartError
from tasks import worktrees
from tasks.tracking import open_tracking
from tasks.workspace import Workspace, here

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

DEPLOYMENTS = "prefect.yaml"
DEPLOY_SECONDS = 300.0  # that `prefect deploy` has
TIDY = "--tidy"
DATASET_CHANGED = "headstart.dataset.changed"


def keep(pid: int, prefect: str, mlflow: str, shared: str = "") -> None:
    """Deploys, prints where everything is, and stays to watch until it is told to end.

    pid: of `headstart serve`. prefect, mlflow: addresses of the two sites. shared: set where Prefect's server is not
    ours alone, and may have runs of other machines.
    """
    workspace = here()
    started = psutil.Process(pid).create_time()
    tidying = subprocess.Popen([sys.executable, "-m", "flows.serving.keeper", TIDY, str(workspace.state)])
    worktrees.sweep(workspace)
    wait_for(f"{prefect}/api/health")
    from flows.serving.automations import apply
    from flows.serving.orphans import close_orphans

    deploy(workspace.root)
    apply()
    orphans = [] if shared else close_orphans(workspace, datetime.fromtimestamp(started, UTC))
    for name in orphans:
        show(f"closed: {name}, whose process is gone")
    wait_for(f"{mlflow}/health")
    tidying.wait()
    password = os.environ.get(served.PASSWORD_FILE, "")
    now = served.Served(pid, started, f"{prefect}/api", prefect, mlflow, password)
    served.write(workspace.state, now)
    show(*now.lines())
    _watch(workspace)


def deploy(root: Path) -> None:
    """Tells Prefect of the deployments of prefect.yaml, with forms made of params.yaml.

    prefect.yaml says when each runs; whether its schedule is switched on stays as it was in the UI.

    Raises:
        HeadstartError: prefect.yaml is not usable; Prefect's words are in the message.
    """
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        _make_pool(client)
        before = _switches(client)
        python = [sys.executable, "-P", "-m", "flows.serving.own_code"]
        words = [*python, "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", DEPLOYMENTS]
        try:
            done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False, timeout=DEPLOY_SECONDS)
        except subprocess.TimeoutExpired:
            raise HeadstartError(
                f"`prefect deploy` did not end within {DEPLOY_SECONDS:g} s and was stopped; does Prefect answer?"
            ) from None
        if done.returncode:
            said = (done.stdout + done.stderr).strip()
            raise HeadstartError(f"the deployments of {DEPLOYMENTS} cannot be made: {said.splitlines()[-1]}")
        for place, (schedule, active) in _switches(client).items():
            was = before.get(place, (schedule, active))[1]
            if was != active:
                client.update_deployment_schedule(place[0], schedule, active=was)


def _make_pool(client: "SyncPrefectClient") -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    try:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    except ObjectAlreadyExists:
        return


def _switches(client: "SyncPrefectClient") -> dict[tuple[UUID, str], tuple[UUID, bool]]:
    """Each schedule's id and whether it is on, by deployment and by its own name (slug) there."""
    return {
        (deployment.id, schedule.slug or ""): (schedule.id, schedule.active)
        for deployment in client.read_deployments()
        for schedule in deployment.schedules
    }


def _watch(workspace: Workspace) -> None:
    """Tells Prefect when a dataset has another version; makes the forms anew when they would look different."""
    datasets, form = _datasets(workspace), _form(workspace)
    data = workspace.root / "data"
    data.mkdir(exist_ok=True)
    for _ in watch(workspace.root, data, recursive=False):
        now, form_now = _datasets(workspace), _form(workspace)
        if form_now != form or set(now) != set(datasets):
            _deploy_again(workspace.root)
        for name in now:
            if now[name] != datasets.get(name):
                tell_changed(name)
        datasets, form = now, form_now


def _deploy_again(root: Path) -> None:
    try:
        deploy(root)
        show("params.yaml, prefect.yaml or the list of datasets changed: the forms are made anew")
    except HeadstartError as error:
        show(f"the forms stay as they were: {error}")


def tell_changed(dataset: str) -> None:
    """Emits the event of a dataset's new version; prefect.yaml says what it starts."""
    from prefect.events import emit_event

    show(f"data/{dataset}.dvc changed")
    resource = {"prefect.resource.id": f"headstart.dataset.{dataset}", "prefect.resource.name": dataset}
    emit_event(event=DATASET_CHANGED, resource=resource)


def _datasets(workspace: Workspace) -> dict[str, str]:
    """Digest of each dataset's .dvc file, by the dataset's name; to touch a file changes nothing."""
    return {path.stem: _digest(path) for path in sorted((workspace.root / "data").glob("*.dvc"))}


def _form(workspace: Workspace) -> tuple[str, str]:
    return _digest(workspace.params), _digest(workspace.root / DEPLOYMENTS)


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


if __name__ == "__main__":
    if sys.argv[1] == TIDY:
        open_tracking(Path(sys.argv[2])).close_orphans()
    else:
        try:
            keep(int(sys.argv[1]), *sys.argv[2:])
        except HeadstartError as error:
            sys.exit(f"error: {error}")
