"""finetune: one strategy's cells at the headline label budget (the article's steps 2 and 3)."""

from headstart.cells.grid import headline_jobs
from headstart.cells.outputs import publish_strategy
from headstart.objectives.kinds import KINDS
from tasks.grid import inputs_of, places, run_cells
from tasks.step import Context, Outcome


def finetune(context: Context, strategy: str) -> Outcome:
    """Publishes models/target/<strategy>."""
    workspace, settings = context.workspace, context.settings
    jobs = headline_jobs(settings, strategy, places(context), inputs_of(context, strategy))
    summaries = run_cells(context, jobs)
    directory = workspace.model(strategy)
    delivered = publish_strategy(directory, jobs, summaries, keep=settings.finetune.keep_weights)
    main = [summary for job, summary in zip(jobs, summaries, strict=True) if not job.variant]
    kind = KINDS[delivered.kind]
    score = kind.value(sum(summary["validation_score"] for summary in main) / len(main))
    return Outcome(
        f"mean validation {kind.word} {score:.3f} over {len(main)} seeds; seed {delivered.seed} is kept",
        params={"strategy": strategy, "label_budget": settings.finetune.label_budget, "seeds": settings.finetune.seeds}
        | settings.recipe(strategy).model_dump(),
        metrics={f"validation.{kind.metric}": score, "compute": main[0]["compute"]},
        artifacts=tuple(directory / name for name in ("history.csv", "cells.csv"))
        + ((directory / "cells",) if settings.finetune.keep_weights == "all" else ()),
        datasets=(settings.target.data,),
    )
