"""remedy: where the target falls short on held-out labels, other ways are tried, one after the other (step 4's end)."""

import pandas as pd
import torch

from headstart.backbones.network import build
from headstart.cells.grid import refit_jobs
from headstart.cells.remedies import Case, Course, Remedy, course_document, treat
from headstart.cells.results import ROUNDS, read_cells, read_labelled
from headstart.cells.ways import way_jobs
from headstart.datasets.pack import read_pack_card
from headstart.entrants import words
from headstart.evaluation.interim import HeldOut, lead_words, standing_words
from headstart.evaluation.measures import measure_of
from headstart.evaluation.overlap import average_overlap
from headstart.evaluation.ranking import RIDGE
from headstart.settings import Settings
from headstart.storage.publish import write_json
from tasks.deliver import deliver
from tasks.grid import grid_settings, inputs_of, places, run_cells
from tasks.step import Context, Outcome, log


def remedy(context: Context) -> Outcome:
    """Publishes models/remedies, after removing the folders of strategies that are no longer asked for.

    In it are rounds.json, and a folder a round with what it came to, as finetune's are.
    """
    workspace, settings = context.workspace, grid_settings(context)
    workspace.prune_models(settings.finetune.strategies)
    held = _held_out(context, settings)
    cells = pd.concat([read_cells(workspace.model(name)) for name in settings.finetune.strategies], ignore_index=True)
    parts: dict[str, Outcome] = {}

    def attempt(chosen: Remedy, number: int) -> pd.DataFrame:
        log.info("remedy %d: %s (%s)", number, words(chosen.way.entrant), chosen.why)
        found = _attempt(context, settings, chosen, number)
        parts[f"remedy {number}"] = _part(chosen, found)
        return found

    course = treat(_case(context, settings), cells, held, attempt=attempt)
    workspace.remedies.mkdir(parents=True, exist_ok=True)
    write_json(workspace.remedies / ROUNDS, course_document(course, held))
    for number, done in enumerate(course.rounds, start=1):
        log.info("remedy %d: %s, %s", number, words(done.remedy.way.entrant), lead_words(done.change, held))
    return Outcome(
        _line(course, held),
        params={"max_rounds": settings.remedy.max_rounds},
        metrics={"rounds": float(len(course.rounds))}
        | {f"lead.{lead.against.replace('@', '.')}": lead.difference for lead in course.standing.leads},
        artifacts=(workspace.remedies / ROUNDS,),
        datasets=(settings.target.data,),
        parts=parts,
    )


def _attempt(context: Context, settings: Settings, chosen: Remedy, number: int) -> pd.DataFrame:
    source = chosen.way.source or settings.source.data[0]
    inputs = inputs_of(context, chosen.way.strategy, source)
    jobs = way_jobs(
        settings, chosen.way, settings.finetune.label_budget, places(context, source), inputs, snapshots=True
    )
    jobs += refit_jobs(jobs)
    directory = context.workspace.remedy(number)
    deliver(context, directory, jobs, run_cells(context, jobs))
    return read_cells(directory)


def _part(chosen: Remedy, cells: pd.DataFrame) -> Outcome:
    return Outcome(
        f"{words(chosen.way.entrant)} ({chosen.why})",
        params={"entrant": chosen.way.entrant, **chosen.way.changes},
        metrics={"validation_score": float(cells["validation_score"].mean()), "seconds": float(cells["seconds"].sum())},
    )


def _case(context: Context, settings: Settings) -> Case:
    workspace = context.workspace
    card = read_pack_card(workspace.pack(settings.target.data))
    table = pd.read_csv(workspace.ranking)
    with torch.device("meta"):  # nothing is asked but how many blocks there are
        network = build(settings.backbone, channels=card.channels, classes=1)
    return Case(
        settings=settings,
        target=card,
        sources={name: read_pack_card(workspace.pack(name)) for name in settings.source.data},
        ranking=list(table[table["method"] == RIDGE]["source"]),
        blocks=len(network.blocks),
    )


def _held_out(context: Context, settings: Settings) -> HeldOut:
    """Of the headline budget: what is held out of each seed's labels, and how many labels the seeds share."""
    workspace, grid = context.workspace, settings.finetune
    card = read_pack_card(workspace.pack(settings.target.data))
    labelled = read_labelled(workspace.model(grid.strategies[0]))
    draws = [labelled[grid.label_budget, seed] for seed in range(grid.seeds)]
    measure = measure_of(card)
    return HeldOut(
        rows=max(1, round(grid.validation_fraction * len(draws[0][0]))),
        overlap=average_overlap(draws),
        confidence=settings.evaluate.confidence,
        margin=measure.margin(settings.evaluate),
        measure=measure,
    )


def _line(course: Course, held: HeldOut) -> str:
    """Such as "not needed: full on held-out labels: +3.0 points against scratch (95% CI -1.0..+7.0)"."""
    count, short = len(course.rounds), bool(course.standing.short_of)
    rounds = f"{count} round{'s' * (count != 1)}, {'still short' if short else 'ahead'}"
    return f"{rounds if count or short else 'not needed'}: {standing_words(course.standing, held)}"
