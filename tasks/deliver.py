"""Delivering: what finetune and remedy publish of a strategy's cells, the speed of its model among it."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from headstart.cells.job import Job
from headstart.cells.outputs import delivered_job, publish_strategy
from headstart.datasets.pack import POOL, Pack
from headstart.prediction.model import BATCH, load
from headstart.prediction.speed import Speed, measure_speed
from headstart.training.accelerator import Accelerator
from tasks.step import Context


def deliver(
    context: Context, directory: Path, jobs: Sequence[Job], summaries: Sequence[dict[str, Any]]
) -> tuple[Job, Speed]:
    """Publishes the cells with the weights of the best, and how fast these predict; returns whose they are."""
    delivered = delivered_job(jobs, summaries)
    speed = _speed(context, delivered)
    keep = context.settings.finetune.keep_weights
    publish_strategy(directory, jobs, summaries, delivered=delivered, speed=asdict(speed), keep=keep)
    return delivered, speed


def _speed(context: Context, delivered: Job) -> Speed:
    """Of the delivered weights, loaded as `headstart predict` loads them, on rows that no label is needed of."""
    assert context.device is not None
    accelerator = Accelerator(context.device.torch_name, precision=context.settings.precision)
    accelerator.start()  # one thread
    pack = Pack(context.workspace.pack(context.settings.target.data))
    return measure_speed(load(delivered.directory, accelerator=accelerator), pack.images[pack.rows(POOL)[:BATCH]])
