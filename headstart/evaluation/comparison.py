"""The tables of a run: comparison.csv, predictions.parquet, and the snapshots behind the convergence panel."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from headstart.entrants import CONTROL, Entrant
from headstart.errors import DataError
from headstart.evaluation.intervals import Floats
from headstart.evaluation.metrics import PREDICTION, SPEEDS, seen_and_unseen
from headstart.evaluation.outcomes import FINAL, Cell, Outcomes, Snapshot
from headstart.evaluation.sureness import sureness_metrics

COMPARISON = ["strategy", "family", "label_budget", "seed", "split", "metric", "value", "seconds"]
PREDICTIONS = ["id", "strategy", "label_budget", "seed", "truth", "prediction", "probabilities"]
SNAPSHOTS = ["strategy", "variant", "label_budget", "seed", "progress", "compute"]


def comparison_table(
    outcomes: Outcomes,
    families: Mapping[str, str],
    *,
    speeds: Sequence[Mapping[str, Any]] = (),
    unseen: Sequence[str] = (),
    confidence: float = 0.95,
) -> pd.DataFrame:
    """One row for each training, split and metric; a variant of the control appears as "scratch:half_steps".

    unseen: classes that some entrant did without; where there are any, each has its accuracy on them and on the others.

    Log loss is in nats, MAE and RMSE in the target's unit; the other metrics are fractions; seconds are the training's.
    Of several values scaled_mae is in standard deviations; what ends in a value's name is of that value alone, in its
    unit; `joint_coverage` is of all of a row's intervals at once. `calibration_error` and `coverage` (of the intervals,
    with Wilson's at `confidence`) say how sure predictions are; interval_width is in the unit; what ends in `_before`
    is before calibration. A score that does not exist (the training accuracy of what was never trained) has no row.
    speeds: of each delivered model, as cells/results.py reads them; the split of their rows is PREDICTION.
    """
    rows = [
        (cell[0], families[Entrant.parse(cell[0]).strategy], cell[1], cell[2], *measured, _seconds(outcomes, cell))
        for cell in ordered_trainings(outcomes, families)
        for measured in [
            *_measured(outcomes, cell),
            *_sure(outcomes, cell, confidence),
            *_zero_shot(outcomes, cell, unseen),
        ]
    ]
    return pd.DataFrame(rows + [row for speed in speeds for row in _speed_rows(speed, families)], columns=COMPARISON)


def _speed_rows(speed: Mapping[str, Any], families: Mapping[str, str]) -> list[tuple[Any, ...]]:
    family = families[Entrant.parse(speed["strategy"]).strategy]
    whose = (speed["strategy"], family, speed["label_budget"], speed["seed"], PREDICTION)
    return [(*whose, metric, speed[metric], speed["seconds"]) for metric in SPEEDS]


def predictions_table(outcomes: Outcomes, families: Mapping[str, str]) -> pd.DataFrame:
    """Each training's final prediction of each test row; probabilities in the order of the classes.

    Of values, low and high are the ends of the interval, nan where none is given. Of several values there are
    <name>_truth, <name>, <name>_low and <name>_high of each in place of truth, prediction, probabilities, low and high.
    """
    cells = ordered_trainings(outcomes, families)
    finals = [outcomes.snapshots(cell)[FINAL] for cell in cells]
    rows = len(outcomes.ids)
    strategy, budget, seed = (np.repeat(np.array(part, dtype=object), rows) for part in zip(*cells, strict=True))
    columns: dict[str, Any] = {
        "id": np.tile(outcomes.ids, len(cells)),
        "strategy": strategy,
        "label_budget": budget.astype(np.int64),
        "seed": seed.astype(np.int64),
    }
    if outcomes.measure.parts:
        return pd.DataFrame(columns | _each_value(outcomes, finals))
    columns |= {
        "truth": np.tile(outcomes.measure.written(outcomes.truth, outcomes.classes), len(cells)),
        "prediction": outcomes.measure.written(np.concatenate([f.prediction for f in finals]), outcomes.classes),
        "probabilities": [row for final in finals for row in _probabilities(final)],
        "low": np.concatenate([_ends(final.low, rows) for final in finals]),
        "high": np.concatenate([_ends(final.high, rows) for final in finals]),
    }
    if outcomes.classes:
        return pd.DataFrame(columns, columns=PREDICTIONS)
    return pd.DataFrame(columns, columns=[*PREDICTIONS, "low", "high"])


def _each_value(outcomes: Outcomes, finals: Sequence[Snapshot]) -> dict[str, Floats]:
    """Truth, prediction and interval of each of several values."""
    shape = outcomes.truth.shape
    found = {}
    for place, own in enumerate(outcomes.measure.columns):
        found[own.truth] = np.tile(outcomes.truth[:, place], len(finals))
        found[own.prediction] = np.concatenate([final.prediction[:, place] for final in finals])
        found[own.low] = np.concatenate([_ends(final.low, shape)[:, place] for final in finals])
        found[own.high] = np.concatenate([_ends(final.high, shape)[:, place] for final in finals])
    return found


def snapshots_table(outcomes: Outcomes, families: Mapping[str, str]) -> pd.DataFrame:
    """The headline metric on test along each training; compute: FLOPs spent by then, pretraining not counted."""
    rows = []
    for cell in ordered_trainings(outcomes, families):
        entrant = Entrant.parse(cell[0])
        variant = entrant.variant if entrant.strategy == CONTROL else ""  # of the others it is part of the name
        strategy = replace(entrant, variant="").name if variant else cell[0]
        whole = float(outcomes.column("compute", cell[0], cell[1], [cell[2]])[0])
        for progress, snapshot in outcomes.snapshots(cell).items():
            _, headline = _on_test(outcomes, snapshot)[0]
            rows.append((strategy, variant, *cell[1:], progress, progress * whole, headline))
    return pd.DataFrame(rows, columns=[*SNAPSHOTS, outcomes.measure.kind.metric])


def ordered_trainings(outcomes: Outcomes, families: Mapping[str, str]) -> list[Cell]:
    """The trainings in the order of the families' strategies, main run before variants.

    Raises:
        DataError: a strategy has no family.
    """
    order = {strategy: rank for rank, strategy in enumerate(families)}
    strangers = sorted({Entrant.parse(name).strategy for name in outcomes.entrants()} - set(order))
    if strangers:
        raise DataError(f"strategy {strangers[0]!r} has no family; families are given for {', '.join(order)}")
    return sorted(outcomes.trainings(), key=lambda cell: (order[Entrant.parse(cell[0]).strategy], cell))


def _measured(outcomes: Outcomes, cell: Cell) -> Iterator[tuple[str, str, float]]:
    """(split, metric, value) of one training."""
    final = outcomes.snapshots(cell)[FINAL]
    for name, value in _on_test(outcomes, final):
        if math.isfinite(value):
            yield "test", name, value
    kind = outcomes.measure.kind
    for split in ("validation", "train"):
        score = float(outcomes.column(f"{split}_score", cell[0], cell[1], [cell[2]])[0])
        if math.isfinite(score):
            yield split, kind.metric, kind.value(score)


def _sure(outcomes: Outcomes, cell: Cell, confidence: float) -> Iterator[tuple[str, str, float]]:
    for name, value in sureness_metrics(outcomes, outcomes.snapshots(cell)[FINAL], confidence):
        yield "test", name, value


def _zero_shot(outcomes: Outcomes, cell: Cell, unseen: Sequence[str]) -> Iterator[tuple[str, str, float]]:
    """(split, metric, value) on the rows of seen and of unseen classes; none where no class is unseen."""
    numbers = {outcomes.classes.index(name) for name in unseen}
    if numbers:
        prediction = outcomes.snapshots(cell)[FINAL].prediction
        for name, value in seen_and_unseen(outcomes.truth, prediction, numbers).items():
            if math.isfinite(value):
                yield "test", name, value


def _on_test(outcomes: Outcomes, snapshot: Snapshot) -> list[tuple[str, float]]:
    return outcomes.measure.metrics(outcomes.truth, snapshot.prediction, snapshot.probabilities)


def _probabilities(snapshot: Snapshot) -> list[list[float] | None]:
    """A list a row; null where values have none."""
    if snapshot.probabilities is None:
        return [None] * len(snapshot.prediction)
    return list(snapshot.probabilities.tolist())


def _ends(ends: Floats | None, shape: int | tuple[int, ...]) -> Floats:
    return np.full(shape, np.nan) if ends is None else ends


def _seconds(outcomes: Outcomes, cell: Cell) -> float:
    return float(outcomes.column("seconds", cell[0], cell[1], [cell[2]])[0])
