"""Running a cell: fit, then publish what came of it under the cell's key. A finished cell is never run again."""

import json
import shutil
import time
from dataclasses import replace
from typing import Any, cast

import pandas as pd

from headstart.cells.cell import Cell, Fitted
from headstart.cells.job import ALL_ROWS, HISTORY, PREDICTIONS, SUMMARY, Job
from headstart.errors import IntegrityError
from headstart.objectives.calibration import Calibration
from headstart.objectives.objective import Objective
from headstart.storage.publish import publishing, verify, write_json
from headstart.strategies.table import STRATEGIES
from headstart.training.accelerator import Accelerator
from headstart.training.weights import WeightsCard, write_weights


def is_finished(job: Job) -> bool:
    """Whether the cell was published whole and is still what was published."""
    try:
        verify(job.directory)
    except IntegrityError:
        return False
    return True


def run_cell(job: Job, accelerator: Accelerator) -> dict[str, Any]:
    """Fits a cell unless it is finished, and returns its summary . On a CPU, in a worker process."""
    if not is_finished(job):
        fit_cell(job, accelerator)
    return read_summary(job)


def fit_cell(job: Job, accelerator: Accelerator) -> None:
    """Fits a cell and publishes it. Processes that train together all call it; the first one publishes."""
    accelerator.start()
    start = time.perf_counter()
    cell = Cell(job, accelerator)
    fitted: Fitted = STRATEGIES.get(job.strategy).load()(cell)
    if accelerator.leads:
        _publish(job, cell, fitted, seconds=time.perf_counter() - start)
        for leftover in job.directory.parent.glob(f"{job.key}.rate-*"):
            shutil.rmtree(leftover)


def read_summary(job: Job) -> dict[str, Any]:
    """What a finished cell says of itself: scores, compute, seconds, labelled ids."""
    return cast(dict[str, Any], json.loads((job.directory / SUMMARY).read_text()))


def _publish(job: Job, cell: Cell, fitted: Fitted, *, seconds: float) -> None:
    calibration = _calibration(cell, fitted)
    with publishing(job.directory) as draft:
        _predictions(cell, fitted, calibration).to_parquet(draft / PREDICTIONS, index=False)
        history = pd.DataFrame(fitted.history, columns=["step", "split", "metric", "value"])
        history.to_csv(draft / HISTORY, index=False)
        write_weights(draft, _card(job, cell, fitted, calibration), fitted.tensors)
        write_json(draft / SUMMARY, _summary(cell, fitted) | {"seconds": round(seconds, 3)})


def _calibration(cell: Cell, fitted: Fitted) -> Calibration:
    """From the labels that the cell held out; a temperature that was found on rows left out of a fit stands."""
    meaning, final = _meaning(cell, fitted), fitted.snapshots[-1].validation
    found = meaning.calibration(final, cell.validation_labels, level=cell.job.interval_level)
    return found if fitted.temperature is None else replace(found, temperature=1.0)


def _meaning(cell: Cell, fitted: Fitted) -> Objective:
    return fitted.objective or cell.objective


def _predictions(cell: Cell, fitted: Fitted, calibration: Calibration) -> pd.DataFrame:
    """progress, id, prediction, probabilities, low, high, temperature: the test rows, predicted blind.

    Of several values <name>, <name>_low, <name>_high of each in place of those between id and temperature.

    Those at the end are calibrated; temperature is what their scores were divided by, in all.
    """
    plain = _meaning(cell, fitted)
    sure, ids = plain.calibrated(calibration), cell.pack.ids(cell.test_rows)
    tables = [
        pd.DataFrame({"progress": snapshot.progress, "id": ids, **plain.columns(snapshot.test), "temperature": 1.0})
        for snapshot in fitted.snapshots[:-1]
    ]
    final = fitted.snapshots[-1]
    said = sure.columns(sure.tempered(final.test))
    divided = calibration.temperature * (fitted.temperature or 1.0)
    tables.append(pd.DataFrame({"progress": final.progress, "id": ids, **said, "temperature": divided}))
    return pd.concat([_with_floats(table) for table in tables], ignore_index=True)


def _with_floats(table: pd.DataFrame) -> pd.DataFrame:
    """The ends of intervals as numbers, nan where there are none."""
    return table.astype({name: float for name in ("low", "high") if name in table})


def _summary(cell: Cell, fitted: Fitted) -> dict[str, Any]:
    final = fitted.snapshots[-1].validation
    return {
        "train_score": cell.objective.score(fitted.train, cell.train_labels),
        "validation_score": cell.objective.score(final, cell.validation_labels),
        "validation_loss": cell.objective.held_out_loss(final, cell.validation_labels),
        "compute": fitted.compute,
        "pretraining_compute": fitted.pretraining_compute,
        "learning_rate": fitted.learning_rate,
        "held_out": len(cell.validation_rows),
        "labelled": cell.labelled_ids,
    }


def _card(job: Job, cell: Cell, fitted: Fitted, calibration: Calibration) -> WeightsCard:
    pack = cell.pack.card
    return WeightsCard(
        kind=fitted.kind,
        strategy=job.strategy,
        dataset=pack.name,
        backbone=job.backbone if any(name.startswith("blocks.") for name in fitted.tensors) else "",
        modality=pack.modality,
        channels=pack.channels,
        size=pack.size,
        preparation=pack.preparation,
        normalisation=fitted.normalisation,
        levels=fitted.levels,
        seed=job.seed,
        label_budget=None if job.fold == ALL_ROWS else job.label_budget,
        trained_on=_trained_on(cell),
        flops=fitted.compute,
        calibration=calibration,
        **_meaning(cell, fitted).describe(),
    )


def _trained_on(cell: Cell) -> str:
    """What a card says of a model that was delivered without a test set; nothing of the others."""
    if cell.job.fold != ALL_ROWS:
        return ""
    rows, folds = len(cell.labelled_ids), cell.pack.card.folds
    return f"all {rows} labelled rows; the score given for it is that of {folds}-fold cross-validation of its strategy"
