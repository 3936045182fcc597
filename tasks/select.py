"""select: the strategy that the verdict is about is named on validation scores, before a test label is opened.

Then scratch and it are trained at the other label budgets (the label-efficiency curve), and scratch once more with
as much compute as the chosen one took.
"""

from typing import Any

import pandas as pd

from headstart.cells.grid import budget_jobs, equal_compute_jobs, headline_jobs
from headstart.cells.job import Job
from headstart.cells.outputs import publish_selection
from headstart.cells.results import read_cells
from headstart.cells.select import choose
from headstart.datasets.pack import read_pack_card
from headstart.entrants import CONTROL, words
from headstart.objectives.kinds import KINDS
from tasks.grid import grid_settings, inputs_of, places, run_cells
from tasks.step import Context, Outcome, log


def select(context: Context) -> Outcome:
    """Publishes models/selection, after removing the folders of strategies that are no longer asked for."""
    workspace, settings = context.workspace, context.settings
    workspace.prune_models(settings.finetune.strategies)
    cells = pd.concat([read_cells(workspace.model(name)) for name in settings.finetune.strategies])
    kind = KINDS[read_pack_card(workspace.pack(settings.target.data)).kind]
    choice = choose(cells, settings.finetune.strategies, kind)
    scores = choice[f"validation_{kind.metric}"]
    log.info("chosen on validation: %s (%s)", words(choice["entrant"]), _scores(scores))
    jobs = _further_jobs(context, cells, choice)
    summaries = run_cells(context, jobs)
    publish_selection(workspace.selection, choice, jobs, summaries)
    return Outcome(
        f"chosen on validation: {words(choice['entrant'])}",
        params={"chosen": choice["entrant"]},
        metrics={f"validation.{kind.metric}.{name}": score for name, score in scores.items()},
        artifacts=(workspace.selection / "selection.json", workspace.selection / "cells.csv"),
        datasets=(settings.target.data,),
    )


def _further_jobs(context: Context, cells: pd.DataFrame, choice: dict[str, Any]) -> list[Job]:
    """The curve's cells of the control and of the chosen entrant, and the control's at equal compute."""
    settings = grid_settings(context)
    first = settings.source.data[0]
    pair = [
        (name, places(context, source), inputs_of(context, name, source))
        for name, source in ((CONTROL, first), (choice["strategy"], choice["source"] or first))
    ]
    jobs = [
        job
        for budget in settings.finetune.curve_budgets
        for name, found, inputs in pair
        for job in budget_jobs(settings, name, budget, found, inputs)
    ]
    headline = [job for job in headline_jobs(settings, *pair[0]) if not job.variant]
    compute = cells[cells["variant"] == ""].groupby("strategy")["compute"].mean()
    return jobs + equal_compute_jobs(headline, control=compute[CONTROL], chosen=compute[choice["entrant"]])


def _scores(scores: dict[str, float]) -> str:
    return ", ".join(f"{name} {score:.3f}" for name, score in scores.items())
