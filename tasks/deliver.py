"""Delivering: what finetune and remedy publish of a strategy's cells: its model's domain and speed among it."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.cells.cell import Cell
from headstart.cells.job import Job
from headstart.cells.outputs import delivered_job, publish_strategy
from headstart.datasets.pack import POOL
from headstart.prediction.domain import MOST_OTHERS, MOST_ROWS, fit_domain, some, write_domain
from headstart.prediction.model import BATCH, load
from headstart.prediction.speed import Speed, measure_speed
from headstart.strategies.table import STRATEGIES
from headstart.training.accelerator import Accelerator
from tasks.step import Context


def deliver(
    context: Context, directory: Path, jobs: Sequence[Job], summaries: Sequence[dict[str, Any]]
) -> tuple[Job, Speed]:
    """Publishes the cells with the weights of the best, its domain, and how fast it predicts; returns whose they are.

    Both are of the delivered weights, loaded as `headstart predict` loads them.
    """
    assert context.device is not None
    accelerator = Accelerator(context.device.torch_name, precision=context.settings.precision)
    accelerator.start()  # one thread
    delivered = delivered_job(jobs, summaries)
    cell = Cell(delivered, accelerator)
    model = load(delivered.directory, accelerator=accelerator)
    fitted, others = some(cell.train_rows, MOST_ROWS), some(unfitted_rows(cell), MOST_OTHERS)
    domain = fit_domain(model.vectors(cell.stored(fitted)), model.vectors(cell.stored(others)))
    model.domain = domain.on(accelerator)
    # Rows that no label is needed of.
    speed = measure_speed(model, cell.stored(cell.pack.rows(POOL)[:BATCH]))
    keep = context.settings.finetune.keep_weights
    publish_strategy(directory, jobs, summaries, delivered=delivered, speed=asdict(speed), keep=keep)
    write_domain(directory, domain)
    return delivered, speed


def unfitted_rows(cell: Cell) -> NDArray[np.intp]:
    """Rows outside of the test set that the cell's weights were not fitted to, in order; their labels play no part.

    None of a group that was trained on, where others are left. Of a strategy that learns from rows without a label they
    are its validation rows alone.
    """
    if STRATEGIES.get(cell.job.strategy).learns_unlabelled:
        return np.sort(cell.validation_rows)
    rows = np.setdiff1d(cell.pack.rows(POOL), cell.train_rows)
    groups = cell.pack.examples["group"]
    apart = rows[~groups.iloc[rows].isin(groups.iloc[cell.train_rows]).to_numpy()]
    return apart if len(apart) else rows
