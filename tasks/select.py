"""select: the strategy that the verdict is about is named on validation scores, before a test label is opened.

Then scratch and it are trained at the other label budgets (the label-efficiency curve), and scratch once more with
as much compute as the chosen one took.
"""

import pandas as pd

from headstart.cells.grid import CONTROL, budget_jobs, equal_compute_jobs, headline_jobs
from headstart.cells.job import Job
from headstart.cells.outputs import publish_selection
from headstart.cells.results import read_cells
from headstart.cells.select import choose
from headstart.objectives.kinds import KINDS
from tasks.grid import grid_settings, inputs_of, places, run_cells
from tasks.step import Context, Outcome, log


def select(context: Context) -> Outcome:
    """Publishes models/selection, after removing the folders of strategies that are no longer asked for."""
    workspace, settings = context.workspace, context.settings
    workspace.prune(settings.finetune.strategies)
    cells = pd.concat([read_cells(workspace.model(name)) for name in settings.finetune.strategies])
    kind = KINDS[places(context).kind]
    choice = choose(cells, settings.finetune.strategies, kind)
    scores = choice[f"validation_{kind.metric}"]
    log.info("chosen on validation: %s (%s)", choice["strategy"], _scores(scores))
    jobs = _further_jobs(context, cells, choice["strategy"])
    summaries = run_cells(context, jobs)
    publish_selection(workspace.selection, choice, jobs, summaries)
    return Outcome(
        f"chosen on validation: {choice['strategy']}",
        params={"chosen": choice["strategy"]},
        metrics={f"validation.{kind.metric}.{name}": score for name, score in scores.items()},
        artifacts=(workspace.selection / "selection.json", workspace.selection / "cells.csv"),
        datasets=(settings.target.data,),
    )


def _further_jobs(context: Context, cells: pd.DataFrame, chosen: str) -> list[Job]:
    settings, found = grid_settings(context), places(context)
    inputs = {name: inputs_of(context, name) for name in (CONTROL, chosen)}
    jobs = [
        job
        for budget in settings.finetune.curve_budgets
        for name in (CONTROL, chosen)
        for job in budget_jobs(settings, name, budget, found, inputs[name])
    ]
    headline = [job for job in headline_jobs(settings, CONTROL, found, inputs[CONTROL]) if not job.variant]
    compute = cells[cells["variant"] == ""].groupby("strategy")["compute"].mean()
    return jobs + equal_compute_jobs(headline, control=compute[CONTROL], chosen=compute[chosen])


def _scores(scores: dict[str, float]) -> str:
    return ", ".join(f"{name} {score:.3f}" for name, score in scores.items())
