"""select: the strategy that the verdict is about is named on validation scores, before a test label is opened.

Then scratch and it are trained at the other label budgets (the label-efficiency curve), and scratch once more with
as much compute as the chosen one took.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from headstart.cells.grid import budget_jobs, equal_compute_jobs, headline_jobs
from headstart.cells.job import Job
from headstart.cells.outputs import publish_selection
from headstart.cells.results import read_cells, read_rounds, with_remedies
from headstart.cells.select import choose
from headstart.cells.ways import Way, way_jobs
from headstart.datasets.pack import read_pack_card
from headstart.entrants import CONTROL, words
from headstart.objectives.kinds import kind_of
from tasks.grid import grid_settings, inputs_of, places, run_cells
from tasks.step import Context, Outcome, log
from tasks.workspace import Workspace


def select(context: Context) -> Outcome:
    """Publishes models/selection."""
    workspace, settings = context.workspace, context.settings
    folders = _folders(workspace, settings.finetune.strategies)
    cells = pd.concat([read_cells(folder) for folder in folders.values()], ignore_index=True)
    ways = {name: Way(**own) for name, own in read_rounds(workspace.remedies)["ways"].items()}
    kind = kind_of(read_pack_card(workspace.pack(settings.target.data)))
    strategies = with_remedies(settings.finetune.strategies, [way.strategy for way in ways.values()])
    choice = choose(cells, strategies, kind)
    place = folders.get(choice["entrant"]) or folders[choice["strategy"]]
    choice["delivered"] = place.relative_to(workspace.root).as_posix()
    scores = choice[f"validation_{kind.metric}"]
    log.info("chosen on validation: %s (%s)", words(choice["entrant"]), _scores(scores))
    chosen = ways.get(choice["entrant"]) or Way(choice["strategy"], choice["source"])
    jobs = _further_jobs(context, cells, chosen)
    whose = " and ".join(dict.fromkeys(job.entrant for job in jobs))
    summaries = run_cells(context, jobs, what=f"select: further cells of {whose}")
    publish_selection(workspace.selection, choice, jobs, summaries)
    return Outcome(
        f"chosen on validation: {words(choice['entrant'])}",
        params={"chosen": choice["entrant"]},
        metrics={f"validation.{kind.metric}.{name}": score for name, score in scores.items()},
        artifacts=(workspace.selection / "selection.json", workspace.selection / "cells.csv"),
        datasets=(settings.target.data,),
    )


def _folders(workspace: Workspace, strategies: Sequence[str]) -> dict[str, Path]:
    """What was tried, by the strategy's name, or of a remedy by the entrant's."""
    rounds = read_rounds(workspace.remedies)["rounds"]
    return {name: workspace.model(name) for name in strategies} | {
        row["tried"]: workspace.remedy(row["round"]) for row in rounds
    }


def _further_jobs(context: Context, cells: pd.DataFrame, chosen: Way) -> list[Job]:
    """The curve's cells of the control and of the chosen entrant, and the control's at equal compute."""
    settings = grid_settings(context)
    first = settings.source.data[0]
    control, own = (
        (places(context, source), inputs_of(context, name, source))
        for name, source in ((CONTROL, first), (chosen.strategy, chosen.source or first))
    )
    jobs = []
    for budget in settings.finetune.curve_budgets:
        jobs += budget_jobs(settings, CONTROL, budget, *control)
        jobs += way_jobs(settings, chosen, budget, *own, snapshots=False)
    headline = [job for job in headline_jobs(settings, CONTROL, *control) if not job.variant]
    compute = cells[cells["variant"] == ""].groupby("strategy")["compute"].mean()
    return jobs + equal_compute_jobs(headline, control=compute[CONTROL], chosen=compute[chosen.entrant])


def _scores(scores: dict[str, float]) -> str:
    return ", ".join(f"{name} {score:.3f}" for name, score in scores.items())
