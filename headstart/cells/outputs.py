"""What the grid's steps publish: a strategy's folder, and the selection with the curve's cells."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from headstart.cells.grid import cells_table
from headstart.cells.job import HISTORY, PREDICTIONS, Job
from headstart.cells.results import CELLS, LABELLED, SELECTION, rank_entrants
from headstart.storage.publish import publishing, write_json
from headstart.training.weights import CARD, WEIGHTS


def publish_strategy(directory: Path, jobs: Sequence[Job], summaries: Sequence[dict[str, Any]], *, keep: str) -> Job:
    """Publishes models/target/<strategy>: the delivered weights and card, predictions, history, cells, labelled ids.

    Delivered is the seed that validates best at the headline budget, from the source that does on average. Returns
    its job.
    """
    table = cells_table(jobs, summaries)
    main = table[table["variant"] == ""]
    delivered = jobs[best_cell(main[main["strategy"] == rank_entrants(main)[0]])]
    with publishing(directory) as draft:
        _copy_weights(delivered, draft)
        if keep == "all":
            for job in jobs:
                _copy_weights(job, draft / "cells" / _cell_name(job))
        _write_cells(draft, table, jobs, summaries)
    return delivered


def publish_selection(
    directory: Path, selection: dict[str, Any], jobs: Sequence[Job], summaries: Sequence[dict[str, Any]]
) -> None:
    """Publishes models/selection: what was chosen and why, and the further cells of scratch and the chosen strategy."""
    with publishing(directory) as draft:
        write_json(draft / SELECTION, selection)
        _write_cells(draft, cells_table(jobs, summaries), jobs, summaries)


def _cell_name(job: Job) -> str:
    """Such as 10-0, 10-0-half_steps, 10-0-from-mnist5k."""
    variant = f"-{job.variant}" if job.variant else ""
    return f"{job.label_budget}-{job.seed}{variant}{'-from-' * bool(job.source)}{job.source}"


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


def _write_cells(draft: Path, table: pd.DataFrame, jobs: Sequence[Job], summaries: Sequence[dict[str, Any]]) -> None:
    names = ["variant", "label_budget", "seed"]
    predictions, histories = [], []
    for job in jobs:
        own = {"strategy": job.entrant} | {name: getattr(job, name) for name in names}
        predictions.append(pd.read_parquet(job.directory / PREDICTIONS).assign(**own))
        histories.append(pd.read_csv(job.directory / HISTORY).assign(**own))
    columns = ["strategy", *names, "progress", "id", "prediction", "probabilities"]
    pd.concat(predictions, ignore_index=True)[columns].to_parquet(draft / PREDICTIONS, index=False)
    pd.concat(histories, ignore_index=True)[["strategy", *names, "step", "split", "metric", "value"]].to_csv(
        draft / HISTORY, index=False
    )
    table.to_csv(draft / CELLS, index=False)
    labelled = {(job.label_budget, job.seed): summary["labelled"] for job, summary in zip(jobs, summaries, strict=True)}
    rows = [{"label_budget": budget, "seed": seed, "ids": ids} for (budget, seed), ids in sorted(labelled.items())]
    write_json(draft / LABELLED, rows)
