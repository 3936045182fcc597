"""The tables of a run: comparison.csv, predictions.parquet, and the snapshots behind the convergence panel."""

import math
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from headstart.errors import DataError
from headstart.evaluation.metrics import accuracy, log_loss, macro_f1
from headstart.evaluation.outcomes import FINAL, Cell, Outcomes

COMPARISON = ["strategy", "family", "label_budget", "seed", "split", "metric", "value", "seconds"]
PREDICTIONS = ["id", "strategy", "label_budget", "seed", "truth", "prediction", "probabilities"]
SNAPSHOTS = ["strategy", "variant", "label_budget", "seed", "progress", "compute", "accuracy"]


def comparison_table(outcomes: Outcomes, families: Mapping[str, str]) -> pd.DataFrame:
    """One row for each training, split and metric; a variant of the control appears as "scratch:half_steps".

    Log loss is in nats; the other metrics are fractions; seconds are the training's. A score that does not exist
    (the training accuracy of what was never trained) has no row.
    """
    rows = [
        (cell[0], families[cell[0].partition(":")[0]], cell[1], cell[2], *measured, _seconds(outcomes, cell))
        for cell in ordered_trainings(outcomes, families)
        for measured in _measured(outcomes, cell)
    ]
    return pd.DataFrame(rows, columns=COMPARISON)


def predictions_table(outcomes: Outcomes, families: Mapping[str, str]) -> pd.DataFrame:
    """Each training's final prediction of each test row; probabilities in the order of the classes."""
    cells = ordered_trainings(outcomes, families)
    finals = [outcomes.snapshots(cell)[FINAL] for cell in cells]
    rows = len(outcomes.ids)
    strategy, budget, seed = (np.repeat(np.array(part, dtype=object), rows) for part in zip(*cells, strict=True))
    columns = {
        "id": np.tile(outcomes.ids, len(cells)),
        "strategy": strategy,
        "label_budget": budget.astype(np.int64),
        "seed": seed.astype(np.int64),
        "truth": np.tile(outcomes.labels, len(cells)),
        "prediction": np.array(outcomes.classes, dtype=object)[np.concatenate([f.prediction for f in finals])],
        "probabilities": [row for final in finals for row in final.probabilities.tolist()],
    }
    return pd.DataFrame(columns, columns=PREDICTIONS)


def snapshots_table(outcomes: Outcomes, families: Mapping[str, str]) -> pd.DataFrame:
    """Test accuracy along each training; compute: FLOPs spent by then, pretraining not counted."""
    rows = []
    for cell in ordered_trainings(outcomes, families):
        strategy, _, variant = cell[0].partition(":")
        whole = float(outcomes.column("compute", cell[0], cell[1], [cell[2]])[0])
        for progress, snapshot in outcomes.snapshots(cell).items():
            score = accuracy(outcomes.truth, snapshot.prediction)
            rows.append((strategy, variant, cell[1], cell[2], progress, progress * whole, score))
    return pd.DataFrame(rows, columns=SNAPSHOTS)


def ordered_trainings(outcomes: Outcomes, families: Mapping[str, str]) -> list[Cell]:
    """The trainings in the order of the families' strategies, main run before variants.

    Raises:
        DataError: a strategy has no family.
    """
    order = {strategy: rank for rank, strategy in enumerate(families)}
    strangers = sorted({name.partition(":")[0] for name in outcomes.entrants()} - set(order))
    if strangers:
        raise DataError(f"strategy {strangers[0]!r} has no family; families are given for {', '.join(order)}")
    return sorted(outcomes.trainings(), key=lambda cell: (order[cell[0].partition(":")[0]], cell))


def _measured(outcomes: Outcomes, cell: Cell) -> Iterator[tuple[str, str, float]]:
    """(split, metric, value) of one training."""
    final = outcomes.snapshots(cell)[FINAL]
    yield "test", "accuracy", accuracy(outcomes.truth, final.prediction)
    yield "test", "macro_f1", macro_f1(outcomes.truth, final.prediction)
    yield "test", "log_loss", log_loss(outcomes.truth, final.probabilities)
    for split in ("validation", "train"):
        score = float(outcomes.column(f"{split}_score", cell[0], cell[1], [cell[2]])[0])
        if math.isfinite(score):
            yield split, "accuracy", score


def _seconds(outcomes: Outcomes, cell: Cell) -> float:
    return float(outcomes.column("seconds", cell[0], cell[1], [cell[2]])[0])
