"""What recipes come to on test rows, which are opened here alone, once everything is chosen."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from headstart.cells.job import PREDICTIONS, Job
from headstart.cells.run import read_summary
from headstart.datasets.pack import read_pack_card, read_test_labels
from headstart.evaluation.intervals import Floats, Sampling, paired_interval
from headstart.evaluation.measures import Measure, measure_of
from headstart.evaluation.overlap import average_overlap

CONTROL = "scratch"


@dataclass(frozen=True)
class Shown:
    """A strategy's test score on a pair: mean and s.d. over the seeds, and its gain over the control with 95% interval.

    Of classes in points; of values the MAE in their unit, the gain being positive where the error is smaller.
    """

    score: float
    deviation: float
    gain: tuple[float, float, float] | None


def on_test(jobs: dict[str, list[Job]]) -> dict[str, Shown]:
    """By strategy, from the finished cells of one pair: one a seed, the same seeds for all."""
    pack = Path(jobs[CONTROL][0].pack)
    card, truth = read_pack_card(pack), read_test_labels(pack).set_index("id")
    measure = measure_of(card)
    tables = {name: _row_scores(own, truth, measure, card.classes) for name, own in jobs.items()}
    sampling = Sampling(
        units=pd.factorize(truth["group"])[0].astype(np.intp),
        overlap=average_overlap([[read_summary(job)["labelled"]] for job in jobs[CONTROL]]) or 0.0,
        confidence=0.95,
        scale=measure.scale,
        largest=measure.largest,
    )
    unit = 1.0 if measure.unit else 100.0
    return {
        name: _shown(table, None if name == CONTROL else tables[CONTROL], sampling, unit)
        for name, table in tables.items()
    }


def _row_scores(jobs: list[Job], truth: pd.DataFrame, measure: Measure, classes: Sequence[str]) -> Floats:
    """(seeds, rows), in the order of the truth."""
    known = measure.read(truth[[own.given for own in measure.columns]], classes, "the truth")
    rows = []
    for job in jobs:
        table = pd.read_parquet(job.directory / PREDICTIONS).set_index("id").loc[truth.index]
        rows.append(
            measure.row_scores(
                known, measure.read(table[[own.prediction for own in measure.columns]], classes, job.name)
            )
        )
    return np.stack(rows)


def _shown(table: Floats, control: Floats | None, sampling: Sampling, unit: float) -> Shown:
    means = table.mean(axis=1) * unit
    score, deviation = abs(float(means.mean())), float(means.std(ddof=1))
    if control is None:
        return Shown(score, deviation, None)
    found = paired_interval(table - control, sampling)
    return Shown(score, deviation, (found.estimate * unit, found.low * unit, found.high * unit))
