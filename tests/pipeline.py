"""The pipeline driven as the flow drives it, in this process, without Prefect and MLflow: seconds, not a minute."""

from collections.abc import Callable
from contextlib import chdir, nullcontext
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tasks.versioning import Result


class Untracked:
    """Stands where MLflow would; the rest of a run is real."""

    def start_step(self, parent: str, step: str) -> str:
        return step

    def ending(self, run_id: str) -> Any:
        return nullcontext()

    def system_metrics(self, run_id: str) -> Any:
        return nullcontext()

    def metrics(self, run_id: str) -> "Untracked":
        return self

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments, **keywords: None


class Bars:
    """Stands where progress bars would; a test may have `show` do something while a step is at work."""

    def show(self, what: str, done: int, total: int) -> None:
        pass


def _open(project: Any, bars: Any = None) -> Any:
    from tasks.versioning import versioning_of
    from tasks.warm import Run
    from tasks.workspace import Workspace

    versioning_of.cache_clear()  # each call stands for a process of its own
    workspace = Workspace(project.root)
    return Run(workspace, workspace.settings(), Untracked(), "", bars or Bars())  # type: ignore[arg-type]


def _run(project: Any, *, until: str = "report") -> dict[str, str]:
    run = _open(project)
    settings = run.settings
    with chdir(project.root):
        for dataset in settings.built_in:
            run.step("fetch", dataset)
        run.step("ingest_target")
        for source in settings.source.data:
            run.step("ingest_source", source)
            run.step("pretrain", source)
        run.step("extract")
        run.step("explore")
        run.step("quality")
        run.step("rank")
        for strategy in settings.finetune.strategies:
            run.step("finetune", strategy)
        last = ("finetune", "remedy", "select", "evaluate", "report")
        for name in last[1 : last.index(until) + 1]:
            run.step(name)
    results: dict[str, Result] = run.results
    return {name: result.outcome for name, result in results.items()}


@pytest.fixture
def in_project() -> Callable[..., Any]:
    """Stands in a project for the length of a block, as the flow does: DVC takes paths from there."""
    return lambda project: chdir(project.root)


@pytest.fixture
def open_warm() -> Callable[..., Any]:
    """Opens a run of a project as `headstart run` would now: settings and code are those of this moment."""
    return _open


@pytest.fixture(scope="session")
def run_warm() -> Callable[..., dict[str, str]]:
    """Runs the steps in the flow's order, the last one or `until` included; returns what became of each.

    Which is unchanged, restored or ran.
    """
    return _run
