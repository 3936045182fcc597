"""The pipeline driven as the flow drives it, in this process, without Prefect and MLflow: seconds, not a minute."""

from collections.abc import Callable
from contextlib import chdir, nullcontext
from typing import TYPE_CHECKING, Any

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


def open_warm(project: Any, bars: Bars | None = None) -> Any:
    """A run of the pipeline as `headstart run` would open it now: settings and code are those of this moment."""
    from tasks.versioning import versioning_of
    from tasks.warm import Run
    from tasks.workspace import Workspace

    versioning_of.cache_clear()  # each call stands for a process of its own
    workspace = Workspace(project.root)
    return Run(workspace, workspace.settings(), Untracked(), "", bars or Bars())  # type: ignore[arg-type]


def run_warm(project: Any, bars: Bars | None = None) -> dict[str, str]:
    """Every step in the flow's order; returns what became of each: unchanged, restored or ran."""
    run = open_warm(project, bars)
    settings = run.settings
    with chdir(project.root):  # as the flow does: DVC takes paths from the current directory
        for dataset in settings.built_in:
            run.step("fetch", dataset)
        for role in ("target", "source"):
            run.step("ingest", role)
        run.step("pretrain")
        run.step("extract")
        for strategy in settings.finetune.strategies:
            run.step("finetune", strategy)
        for name in ("select", "evaluate", "report"):
            run.step(name)
    results: dict[str, Result] = run.results
    return {name: result.outcome for name, result in results.items()}
