"""finetune: one strategy's cells at the headline label budget (the article's steps 2 and 3)."""

from headstart.cells.grid import headline_jobs, refit_jobs
from headstart.cells.job import Job
from headstart.cells.outputs import publish_strategy
from headstart.objectives.kinds import KINDS
from tasks.grid import grid_settings, inputs_of, places, run_cells
from tasks.step import Context, Outcome


def finetune(context: Context, strategy: str) -> Outcome:
    """Publishes models/target/<strategy>."""
    workspace, settings = context.workspace, grid_settings(context)
    jobs = headline_jobs(settings, strategy, places(context), inputs_of(context, strategy))
    jobs += refit_jobs(jobs)
    summaries = run_cells(context, jobs)
    directory = workspace.model(strategy)
    delivered = publish_strategy(directory, jobs, summaries, keep=settings.finetune.keep_weights)
    main = [summary for job, summary in zip(jobs, summaries, strict=True) if not job.variant]
    kind = KINDS[delivered.kind]
    score = kind.value(sum(summary["validation_score"] for summary in main) / len(main))
    return Outcome(
        f"mean validation {kind.word} {score:.3f} over {_trainings(delivered, len(main), settings.finetune.seeds)}",
        params={"strategy": strategy, "label_budget": settings.finetune.label_budget, "seeds": settings.finetune.seeds}
        | settings.recipe(strategy).model_dump(),
        metrics={f"validation.{kind.metric}": score, "compute": main[0]["compute"]},
        artifacts=tuple(directory / name for name in ("history.csv", "cells.csv"))
        + ((directory / "cells",) if settings.finetune.keep_weights == "all" else ()),
        datasets=(settings.target.data,),
    )


def _trainings(delivered: Job, number: int, seeds: int) -> str:
    """How many trainings there were, and which one is delivered."""
    if delivered.fold is None:
        return f"{seeds} seeds; seed {delivered.seed} is kept"
    return f"{seeds} seeds of {number // seeds} folds; what is kept was trained once more on all labelled rows"
