"""finetune: one strategy's cells at the headline label budget (the article's steps 2 and 3)."""

from dataclasses import asdict

import pandas as pd

from headstart.cells.combinations import sources_of
from headstart.cells.grid import headline_jobs, refit_jobs
from headstart.cells.job import Job
from headstart.cells.results import read_cells
from headstart.objectives.kinds import KINDS
from tasks.deliver import deliver
from tasks.grid import check_meaning, grid_settings, inputs_of, places, run_cells
from tasks.step import Context, Outcome


def finetune(context: Context, strategy: str) -> Outcome:
    """Publishes models/target/<strategy>: its cells from every source, the weights of the best, and its speed."""
    workspace, settings = context.workspace, grid_settings(context)
    check_meaning(workspace, settings, [strategy])
    jobs = jobs_of(context, strategy)
    directory = workspace.model(strategy)
    delivered, speed = deliver(context, directory, jobs, run_cells(context, jobs, what=strategy))
    cells = read_cells(directory)
    kept = cells[(cells["strategy"] == delivered.entrant) & (cells["variant"] == "")]
    kind = KINDS[delivered.kind]
    return Outcome(
        _line(cells, delivered, seeds=settings.finetune.seeds, folds=len({job.fold for job in jobs}) - 1),
        params={"strategy": strategy, "label_budget": settings.finetune.label_budget, "seeds": settings.finetune.seeds}
        | settings.recipe(strategy).model_dump(),
        metrics={
            f"validation.{kind.metric}": kind.value(float(kept["validation_score"].mean())),
            "compute": float(kept["compute"].iloc[0]),
        }
        | {f"prediction.{name}": float(value) for name, value in asdict(speed).items()},
        artifacts=tuple(directory / name for name in ("history.csv", "cells.csv"))
        + ((directory / "cells",) if settings.finetune.keep_weights == "all" else ()),
        datasets=(settings.target.data,),
    )


def jobs_of(context: Context, strategy: str) -> list[Job]:
    """A strategy's cells, from every source that it enters from."""
    settings = grid_settings(context)
    jobs: list[Job] = []
    for source in sources_of(settings, strategy):
        own = headline_jobs(settings, strategy, places(context, source), inputs_of(context, strategy, source))
        jobs += own + refit_jobs(own)
    return jobs


def _line(cells: pd.DataFrame, delivered: Job, *, seeds: int, folds: int) -> str:
    """Such as "mean validation accuracy 0.925 over 5 seeds; seed 3 is kept"; of several sources each."""
    kind = KINDS[delivered.kind]
    means = cells[cells["variant"] == ""].groupby("strategy", sort=False)["validation_score"].mean()
    scores = [f"{kind.value(float(means[delivered.entrant])):.3f}"]
    if delivered.source:
        scores = [f"{kind.value(float(mean)):.3f} ({name})" for name, mean in means.items()]
    return f"mean validation {kind.word} {', '.join(scores)} over {_trainings(delivered, seeds, folds)}"


def _trainings(delivered: Job, seeds: int, folds: int) -> str:
    """How many trainings there were, and which one is delivered."""
    whose = f" of {delivered.entrant}" if delivered.source else ""
    if delivered.fold is None:
        return f"{seeds} seeds; seed {delivered.seed}{whose} is kept"
    return f"{seeds} seeds of {folds} folds; what is kept{whose} was trained once more on all labelled rows"
