"""remedy: where the target falls short on held-out labels, other ways are tried, one after the other (step 4's end)."""

from pathlib import Path

import pandas as pd
import torch

from headstart.backbones.network import build
from headstart.cells.grid import refit_jobs
from headstart.cells.remedies import Case, Course, Remedy, Round, course_document, treat
from headstart.cells.results import ROUNDS, read_cells, read_labelled
from headstart.cells.ways import Way, way_jobs
from headstart.datasets.pack import read_pack_card
from headstart.entrants import SOURCE, source_as_it_is, words
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

    In it are rounds.json, and a folder a round with what it came to, as finetune's are. A source that comes in with a
    remedy comes in as it is, too: that is what the remedy has to be held against.
    """
    workspace, settings = context.workspace, grid_settings(context)
    workspace.prune_models(settings.finetune.strategies)
    held = _held_out(context, settings)
    cells = pd.concat([read_cells(workspace.model(name)) for name in settings.finetune.strategies], ignore_index=True)
    parts: dict[str, Outcome] = {}
    beside: list[str] = []

    def attempt(chosen: Remedy, number: int) -> pd.DataFrame:
        log.info("remedy %d: %s (%s)", number, words(chosen.way.entrant), chosen.why)
        found = _attempt(context, settings, chosen.way, workspace.remedy(number), what=f"remedy {number}")
        parts[f"remedy {number}"] = _part(chosen, found)
        if SOURCE not in settings.finetune.strategies or chosen.way.source in ("", *settings.entering):
            return found
        beside.append(source_as_it_is(chosen.way.entrant))
        as_it_is = Way(SOURCE, chosen.way.source)
        return pd.concat(
            [found, _attempt(context, settings, as_it_is, workspace.remedies / beside[-1], what=beside[-1])]
        )

    def say(number: int, done: Round) -> None:
        log.info("remedy %d: %s: %s", number, words(done.remedy.way.entrant), lead_words(done.change, held))

    course = treat(_case(context, settings), cells, held, attempt=attempt, say=say)
    workspace.remedies.mkdir(parents=True, exist_ok=True)
    write_json(workspace.remedies / ROUNDS, course_document(course, held) | {"beside": beside})
    return Outcome(
        _line(course, held),
        params={"max_rounds": settings.remedy.max_rounds},
        metrics={"rounds": float(len(course.rounds))}
        | {f"lead.{lead.against.replace('@', '.')}": lead.difference for lead in course.standing.leads},
        artifacts=(workspace.remedies / ROUNDS,),
        datasets=(settings.target.data,),
        parts=parts,
    )


def _attempt(context: Context, settings: Settings, way: Way, directory: Path, *, what: str) -> pd.DataFrame:
    source = way.source or settings.source.data[0]
    inputs = inputs_of(context, way.strategy, source)
    jobs = way_jobs(settings, way, settings.finetune.label_budget, places(context, source), inputs, snapshots=True)
    jobs += refit_jobs(jobs)
    deliver(context, directory, jobs, run_cells(context, jobs, what=what))
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
