"""Running cells: in workers on a CPU, in this process on another device, in ranks over several, on other machines."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from headstart.cells.combinations import check_combinations, sources_of
from headstart.cells.effective import settings_for
from headstart.cells.grid import Places
from headstart.cells.job import Job
from headstart.cells.run import fit_cell, is_finished, read_summary, run_cell
from headstart.datasets.pack import pack_digest, read_pack_card
from headstart.datasets.settings import MOST_FOLDS
from headstart.objectives.kinds import KINDS, kind_of
from headstart.settings import Settings
from headstart.training.accelerator import Accelerator
from tasks.progress import Pace
from tasks.ranks import Tell, run_ranks
from tasks.step import Context, log
from tasks.workers import cores, run_all
from tasks.workspace import Workspace


def places(context: Context, source: str) -> Places:
    """Where the grid of cells finds its inputs, those of this source's W among them, and keeps what is finished."""
    workspace, target = context.workspace, context.settings.target.data
    card = read_pack_card(workspace.pack(target))
    return Places(
        pack=workspace.pack(target),
        weights=workspace.weights(source),
        features=workspace.features(source, target),
        source_features=workspace.features(source, source),
        cells=workspace.cells,
        kind=kind_of(card).name,
        source=source if len(context.settings.source.data) > 1 else "",
        folds=card.folds,
        largest_label_budget=card.largest_label_budget,
        source_pack=workspace.pack(source),
    )


def check_meaning(workspace: Workspace, settings: Settings, strategies: Sequence[str]) -> None:
    """Refuses strategies that have no meaning for this target and the sources they enter from.

    Raises:
        SettingsError: the first of them, and why.
    """
    entering = {source for name in strategies for source in sources_of(settings, name)}
    sources = {source: read_pack_card(workspace.pack(source)) for source in entering}
    check_combinations(read_pack_card(workspace.pack(settings.target.data)), sources, settings, strategies)


def grid_settings(context: Context) -> Settings:
    """The settings with the label budgets that the target has."""
    return settings_for(context.settings, context.workspace.pack(context.settings.target.data))


def inputs_of(context: Context, strategy: str, source: str) -> dict[str, Any]:
    """Digests of all that a strategy's cells read: they are found again while none of it changes."""
    workspace, settings = context.workspace, context.settings
    return {
        "pack": pack_digest(workspace.pack(settings.target.data)),
        "reads": json.loads(workspace.reads(strategy).read_text()).get(source, {}),
        "code": context.code(f"finetune@{strategy}"),
    }


def run_cells(context: Context, jobs: Sequence[Job], *, what: str) -> list[dict[str, Any]]:
    """Runs the jobs that are not finished; returns the summaries of all, in their order.

    what: they are to the step that runs them, for its progress.
    """
    there = {number for number, job in enumerate(jobs) if is_finished(job)}
    waiting = [job for number, job in enumerate(jobs) if number not in there]
    kept = len(there)
    if kept:
        log.info("%d of %d cells are finished already", kept, len(jobs))
    for job in (jobs[number] for number in sorted(there)):
        context.metrics(_metrics(job, read_summary(job)), _number(job))
    pace = Pace(workers=_workers(context))
    for done, (job, summary) in enumerate(_run(context, waiting), start=1):
        waiting.remove(job)
        pace.take(_work(job), summary["seconds"])
        if pace.is_due(left=len(waiting)):
            left = pace.left([_work(job) for job in waiting])
            said = f"cell {kept + done}/{len(jobs)}: {_line(job, summary)}"
            log.info("%s", f"{said}, {left}" if left else said)
        context.metrics(_metrics(job, summary), _number(job))
        context.progress(what, kept + done, len(jobs))
    return [read_summary(job) for job in jobs]


def _line(job: Job, summary: dict[str, Any]) -> str:
    kind = KINDS[job.kind]
    score = kind.value(summary["validation_score"])
    return f"{job.name}: validation {kind.word} {score:.3f} in {summary['seconds']:.1f} s"


def _workers(context: Context) -> int:
    """How many cells run at a time."""
    assert context.device is not None
    if context.machines:
        return context.machines.workers
    return cores() if context.device.kind == "cpu" and not context.beside else 1


def _work(job: Job) -> float:
    """How long a cell takes, in steps; 0 where nothing is trained."""
    return float(getattr(job.recipe, "work", 0.0))


def _run(context: Context, jobs: Sequence[Job]) -> Any:
    assert context.device is not None
    together = [job for job in jobs if job.devices > 1]
    if together:
        yield from run_ranks(partial(_fit_together, together), context.devices, context.settings.precision)
    longest_first = sorted((job for job in jobs if job.devices == 1), key=_work, reverse=True)
    accelerator = Accelerator(
        context.device.torch_name, cache=str(context.workspace.compiled), precision=context.settings.precision
    )
    if context.machines:
        yield from context.machines.run(longest_first)
    elif context.device.kind == "cpu":
        for position, summary in run_all(partial(run_cell, accelerator=accelerator), longest_first):
            yield longest_first[position], summary
    else:
        for job in longest_first:
            yield job, run_cell(job, accelerator)


def _fit_together(jobs: Sequence[Job], accelerator: Accelerator, tell: Tell) -> None:
    """What each rank does: one cell after the other, all ranks at the same one."""
    for job in jobs:
        if is_finished(job):
            continue  # before all began again, for lack of memory
        fit_cell(job, accelerator)
        accelerator = replace(accelerator, pieces=1)  # more were for the cell that did not fit
        if accelerator.leads:
            tell((job, read_summary(job)))


def _number(job: Job) -> int:
    """Where a cell's numbers stand in the tracker: its seed, or seed and fold counted through."""
    return job.seed if job.fold is None else job.seed * MOST_FOLDS + max(job.fold, 0)


def _metrics(job: Job, summary: dict[str, Any]) -> dict[str, float]:
    name = f"labels-{job.label_budget}{'.' + job.variant if job.variant else ''}"
    return {f"{name}.{key}": summary[key] for key in ("validation_score", "train_score", "seconds")}
