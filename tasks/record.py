"""What a run leaves behind so that it can be made again: revision, edits, settings, and dvc.lock with every digest."""

import os
from dataclasses import dataclass

from headstart.errors import HeadstartError, UserError
from headstart.storage.publish import sha256
from tasks import experiments
from tasks.devices import available
from tasks.git import commit_of, edited, git
from tasks.tracking import Pipeline, Tracking, has_store, open_tracking
from tasks.workspace import EXPERIMENT, Workspace

FOLDER = "reproduce"  # among the parent's artifacts: params.yaml and dvc.lock
REVISION = "headstart.revision"
EDITED = "headstart.edited"
PARAMS = "headstart.params"
LOCK = "headstart.lock"
DEVICE = "headstart.device"
NAME = "headstart.experiment"
READ = (
    "headstart",
    "tasks",
    "code.lock",
    "dvc.yaml",
    ".dvcignore",
    "data",
)  # what results depend on, beside params.yaml
SHOWN = 3
FEWEST = 4  # characters of a run id


@dataclass(frozen=True)
class Recipe:
    """What it takes to make a run again. params, lock: the texts of its params.yaml and dvc.lock.

    device: what trained it, such as "cpu AMD EPYC"; "" where that is not known.
    """

    name: str
    revision: str
    params: str
    lock: str
    device: str


def at_start(workspace: Workspace) -> dict[str, str]:
    """Tags of the run from before it begins. Edits are named, for no commit has them."""
    try:
        revision = commit_of(workspace.root, "HEAD")
        changed = [path for path in edited(workspace.root, READ) if not path.endswith(".gitignore")]
    except HeadstartError:
        revision, changed = "", []
    name = os.environ.get(EXPERIMENT, "")
    tags = {REVISION: revision, EDITED: _in_words(changed), PARAMS: sha256(workspace.params)}
    return tags | ({NAME: name} if name else {})


def at_end(workspace: Workspace) -> dict[str, str]:
    """Tags of a run that came to its end: what trained it, and the digest of the record of its results."""
    device = available()[0]
    return {DEVICE: f"{device.kind} {device.name}", LOCK: sha256(workspace.root / "dvc.lock")}


def find(workspace: Workspace, text: str) -> Recipe:
    """The record of a run: of an experiment by its name, else of an MLflow run by its id's beginning, or `latest`.

    Raises:
        UserError: there is none, more than one, or one that cannot be made again; the message says why.
    """
    commit = experiments.experiments(workspace.root).get(text)
    runs = _pipelines(workspace)
    if commit:
        return _of_experiment(workspace, text, commit, [run for _, run in runs if run.tags.get(NAME) == text])
    tracking, run = _chosen(runs, text)
    commit = experiments.experiments(workspace.root).get(run.tags.get(NAME, ""))
    if commit:
        return _of_experiment(workspace, run.tags[NAME], commit, [run])
    return _of_run(tracking, run)


def run_of(workspace: Workspace, experiment: str) -> str:
    """The id of the MLflow run that became an experiment, "" where none is known."""
    return next((run.run_id for _, run in _pipelines(workspace) if run.tags.get(NAME) == experiment), "")


def _of_experiment(workspace: Workspace, name: str, commit: str, runs: list[Pipeline]) -> Recipe:
    params, lock = (git(workspace.root, "show", f"{commit}:./{file}") + "\n" for file in ("params.yaml", "dvc.lock"))
    return Recipe(f"experiment {name}", commit, params, lock, runs[0].tags.get(DEVICE, "") if runs else "")


def _of_run(tracking: Tracking, run: Pipeline) -> Recipe:
    name = f"run {run.run_id[:8]} ({run.name})"
    if LOCK not in run.tags:
        raise UserError(f"{name} is {run.status} and left no results to compare with; give one that came to its end")
    if not run.tags.get(REVISION):
        raise UserError(f"{name} was made outside of git, so its code is not known any more")
    if run.tags.get(EDITED):
        raise UserError(
            f"{name} was made with edits that no commit has: {run.tags[EDITED]}. Commit before you run, or run in a "
            "worktree with the edits, which keeps them with the experiment"
        )
    params, lock = (tracking.artifact_text(run.run_id, f"{FOLDER}/{file}") for file in ("params.yaml", "dvc.lock"))
    if params is None or lock is None:
        raise UserError(f"{name} has no {FOLDER}/params.yaml and {FOLDER}/dvc.lock among its artifacts any more")
    return Recipe(name, run.tags[REVISION], params, lock, run.tags.get(DEVICE, ""))


def _pipelines(workspace: Workspace) -> list[tuple[Tracking, Pipeline]]:
    if not has_store(workspace.state):
        return []
    tracking = open_tracking(workspace.state)
    return [(tracking, run) for run in tracking.pipelines()]


def _chosen(runs: list[tuple[Tracking, Pipeline]], text: str) -> tuple[Tracking, Pipeline]:
    if text == "latest":
        found = [pair for pair in runs if LOCK in pair[1].tags][:1]
    else:
        found = [pair for pair in runs if len(text) >= FEWEST and pair[1].run_id.startswith(text)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{text} is the beginning of several runs: {', '.join(run.run_id for _, run in found)}")
    known = [run.run_id[:8] for _, run in runs if LOCK in run.tags]
    raise UserError(
        f"no run {text!r} left a result here; give `latest`, the name of an experiment (`dvc exp list`), or the first "
        f"{FEWEST} or more characters of an MLflow run's id: {', '.join(known[:SHOWN]) or 'none is there yet'}"
    )


def _in_words(paths: list[str]) -> str:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(paths[:SHOWN]) + more
