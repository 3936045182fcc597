"""What the grid's steps publish: a strategy's folder, and the selection with the curve's cells."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from headstart.cells.grid import CELL, cells_table
from headstart.cells.job import ALL_ROWS, HISTORY, PREDICTIONS, Job
from headstart.cells.results import CELLS, LABELLED, SELECTION, SPEED, rank_entrants
from headstart.storage.publish import publishing, write_json
from headstart.training.weights import CARD, WEIGHTS


def delivered_job(jobs: Sequence[Job], summaries: Sequence[dict[str, Any]]) -> Job:
    """The cell whose weights are delivered: the seed that validates best at the headline budget.

    Of several sources it is from the one that does best on average; in cross-validation that source's cell that was
    trained on all labelled rows.
    """
    table = cells_table(*zip(*_compared(jobs, summaries), strict=True))
    main = table[table["variant"] == ""]
    best = rank_entrants(main)[0]
    refit = next((job for job in jobs if job.fold == ALL_ROWS and job.entrant == best), None)
    return refit or jobs[best_cell(main[main["strategy"] == best])]


def publish_strategy(
    directory: Path,
    jobs: Sequence[Job],
    summaries: Sequence[dict[str, Any]],
    *,
    delivered: Job,
    speed: Mapping[str, float],
    keep: str,
) -> None:
    """Publishes models/target/<strategy>: the delivered weights and card, predictions, history, cells, labelled ids.

    A cell that was trained on all labelled rows is in none of the tables. speed: what the delivered model's predictions
    were measured at.
    """
    compared = _compared(jobs, summaries)
    seconds = next(summary["seconds"] for job, summary in zip(jobs, summaries, strict=True) if job == delivered)
    with publishing(directory) as draft:
        _copy_weights(delivered, draft)
        if keep == "all":
            for job, _ in compared:
                _copy_weights(job, draft / "cells" / _folder(job))
        _write_cells(draft, cells_table(*zip(*compared, strict=True)), compared)
        whose = {"strategy": delivered.entrant, "label_budget": compared[0][0].label_budget, "seed": delivered.seed}
        write_json(draft / SPEED, whose | {"seconds": seconds, **speed})


def _compared(jobs: Sequence[Job], summaries: Sequence[dict[str, Any]]) -> list[tuple[Job, dict[str, Any]]]:
    return [pair for pair in zip(jobs, summaries, strict=True) if pair[0].fold != ALL_ROWS]


def publish_selection(
    directory: Path, selection: dict[str, Any], jobs: Sequence[Job], summaries: Sequence[dict[str, Any]]
) -> None:
    """Publishes models/selection: what was chosen and why, and the further cells of scratch and the chosen strategy."""
    with publishing(directory) as draft:
        write_json(draft / SELECTION, selection)
        _write_cells(draft, cells_table(jobs, summaries), list(zip(jobs, summaries, strict=True)))


def best_cell(table: pd.DataFrame) -> int:
    """Position of the cell that validates best: score, then loss, then the lowest seed."""
    order = table.sort_values(
        ["validation_score", "validation_loss", "seed"], ascending=[False, True, True], kind="stable"
    )
    return int(order.index[0])


def _copy_weights(job: Job, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name in (WEIGHTS, CARD):
        shutil.copyfile(job.directory / name, directory / name)


def _folder(job: Job) -> str:
    """Such as "10-0", "10-0-half_steps", "10-0-fold_2", "10-0-from-mnist5k"."""
    fold = "" if job.fold is None else f"-fold_{job.fold}"
    variant = f"-{job.variant}" if job.variant else ""
    return f"{job.label_budget}-{job.seed}{variant}{fold}{'-from-' * bool(job.source)}{job.source}"


def _write_cells(draft: Path, table: pd.DataFrame, cells: Sequence[tuple[Job, dict[str, Any]]]) -> None:
    """A seed's folds are one in the tables: together they predict each row once. history.csv tells them apart."""
    predictions, histories = [], []
    for job, _ in cells:
        own = {name: getattr(job, name) for name in CELL} | {"strategy": job.entrant}
        predictions.append(pd.read_parquet(job.directory / PREDICTIONS).assign(**own))
        histories.append(pd.read_csv(job.directory / HISTORY).assign(**own, fold=job.fold))
    together = pd.concat(predictions, ignore_index=True)
    together[[*CELL, *(name for name in together if name not in CELL)]].to_parquet(draft / PREDICTIONS, index=False)
    fold = ["fold"] if any(job.fold is not None for job, _ in cells) else []
    pd.concat(histories, ignore_index=True)[[*CELL, *fold, "step", "split", "metric", "value"]].to_csv(
        draft / HISTORY, index=False
    )
    table.to_csv(draft / CELLS, index=False)
    labelled = {(job.label_budget, job.seed, job.fold or 0): summary["labelled"] for job, summary in cells}
    rows = [{"label_budget": budget, "seed": seed, "ids": ids} for (budget, seed, _), ids in sorted(labelled.items())]
    write_json(draft / LABELLED, rows)
