"""What came in, checked once: who predicted which test row right, under which seed, after how much training."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd

from headstart import entrants
from headstart.entrants import CONTROL, Entrant
from headstart.errors import DataError
from headstart.evaluation.intervals import Codes, Floats
from headstart.evaluation.measures import RATE, Measure, Numbers
from headstart.evaluation.overlap import average_overlap

HALF_STEPS = Entrant(CONTROL, entrants.HALF_STEPS).name
EQUAL_COMPUTE = Entrant(CONTROL, entrants.EQUAL_COMPUTE).name

FINAL = 1.0  # progress of the snapshot at the end of a training

KEYS = ["entrant", "label_budget", "seed"]
PREDICTION_COLUMNS = [
    "strategy", "variant", "label_budget", "seed", "progress", "id", "prediction", "probabilities",
]  # fmt: skip
NUMBERS = ["seconds", "compute", "pretraining_compute", "train_score", "validation_score", "labels"]
OPTIONAL_NUMBERS = ["held_out"]
CELL_COLUMNS = ["strategy", "variant", "label_budget", "seed", *NUMBERS]

Cell = tuple[str, int, int]  # entrant, label budget, seed


@dataclass(frozen=True)
class Snapshot:
    """One cell's predictions of all test rows.

    prediction: (rows,), class indices or values; probabilities: (rows, classes), None of values. temperature: (rows,),
    that scores were divided by, in the end; None where nobody says. low, high: (rows,), ends of intervals around
    values, None where none are given. Of several values prediction, low and high are (rows, values).
    """

    prediction: Numbers
    probabilities: Floats | None
    temperature: Floats | None = None
    low: Floats | None = None
    high: Floats | None = None


class Outcomes:
    """The test rows in the order of their ids, and each snapshot's predictions of them.

    ids: (rows,); truth: (rows,), class indices or values, (rows, values) of several; units: (rows,), codes of the
    groups, or of the rows where there are none.
    """

    def __init__(
        self,
        *,
        predictions: pd.DataFrame,
        cells: pd.DataFrame,
        labelled: Mapping[tuple[int, int], Sequence[Collection[str]]],
        truth: pd.DataFrame,
        classes: Sequence[str],
        measure: Measure = RATE,
    ):
        """Checks and orders everything, so that equal inputs in any order give equal bytes.

        Raises:
            DataError: a column is missing; the truth is empty, has an id twice or a label that is no class (a value
                that is no number); a snapshot lacks a test row, has one twice or one that is not a test row, predicts
                an unknown class or has probabilities that are not one for each class, from 0 to 1; a training has no
                final snapshot, or no row in cells, or two, or its seconds or compute are not numbers.
        """
        _require(predictions, prediction_columns(measure), "predictions")
        _require(cells, CELL_COLUMNS, "cells")
        _require(truth, ["id", *(own.given for own in measure.columns), "group"], "truth")
        self.classes, self.measure = list(classes), measure
        self._read_truth(truth)
        self._labelled = labelled
        self._cells = _index_cells(cells)
        self._snapshots = self._read_snapshots(predictions)
        self._check_cells()

    def budgets(self, entrant: str) -> list[int]:
        return sorted({budget for name, budget, _ in self._snapshots if name == entrant})

    def seeds(self, entrant: str, budget: int) -> list[int]:
        return sorted(seed for name, b, seed in self._snapshots if (name, b) == (entrant, budget))

    def entrants(self) -> list[str]:
        return sorted({name for name, _, _ in self._snapshots})

    def trainings(self) -> list[Cell]:
        return sorted(self._snapshots)

    def snapshots(self, cell: Cell) -> dict[float, Snapshot]:
        """The snapshots of one training by progress, in order."""
        return self._snapshots[cell]

    def scores(self, entrant: str, budget: int, seeds: Sequence[int], progress: float = FINAL) -> Floats:
        """(seeds, rows): 1 where the prediction is the truth, else 0; of values minus the absolute error."""
        tables = [self._snapshots[entrant, budget, seed][progress].prediction for seed in seeds]
        return np.stack([self.measure.row_scores(self.truth, prediction) for prediction in tables])

    def by_progress(self, entrant: str, budget: int, seeds: Sequence[int]) -> dict[float, Floats]:
        """The same for each progress at which all of these seeds have a snapshot."""
        shared = set.intersection(*(set(self._snapshots[entrant, budget, seed]) for seed in seeds))
        return {progress: self.scores(entrant, budget, seeds, progress) for progress in sorted(shared)}

    def column(self, name: str, entrant: str, budget: int, seeds: Sequence[int]) -> Floats:
        """(seeds,): a column of the cells; nan of one that may be missing, where it is."""
        return np.array([self._cells[entrant, budget, seed].get(name, np.nan) for seed in seeds], dtype=np.float64)

    def overlap(self, budget: int, seeds: Sequence[int]) -> float | None:
        """Share of labelled rows that two of the seeds have in common, on average; None with one seed.

        Raises:
            DataError: the labelled rows of a seed are not given.
        """
        missing = [(budget, seed) for seed in seeds if (budget, seed) not in self._labelled]
        if missing:
            raise DataError(
                f"labelled rows are missing for (label_budget, seed) {missing}; they are written where labels are drawn"
            )
        return average_overlap([self._labelled[budget, seed] for seed in seeds])

    def _read_truth(self, truth: pd.DataFrame) -> None:
        if truth.empty:
            raise DataError("truth has no rows; a verdict needs test rows: give the target a test split")
        repeated = truth["id"][truth["id"].duplicated()]
        if len(repeated):
            raise DataError(f"truth has id {repeated.iloc[0]!r} more than once; each test row counts once")
        ordered = truth.astype({"id": str, "group": str}).sort_values("id")
        self.ids = pd.Index(ordered["id"])
        given = [own.given for own in self.measure.columns]
        self.truth = self.measure.read(ordered[given], self.classes, "truth")
        self.units: Codes = np.unique(ordered["group"].to_numpy(dtype=object), return_inverse=True)[1]

    def _read_snapshots(self, predictions: pd.DataFrame) -> dict[Cell, dict[float, Snapshot]]:
        frame = _with_entrant(predictions)
        predicted = [own.prediction for own in self.measure.columns]
        codes = self.measure.read(frame[predicted], self.classes, "predictions")
        frame = frame.assign(row=self.ids.get_indexer(pd.Index(frame["id"].astype(str))), place=np.arange(len(frame)))
        strangers = frame.loc[frame["row"] < 0]
        if len(strangers):
            raise DataError(
                f"predictions of {strangers['entrant'].iloc[0]} have id {strangers['id'].iloc[0]!r}, which is no"
                " test row; predict the rows of truth, no others"
            )
        snapshots: dict[Cell, dict[float, Snapshot]] = {}
        for key, part in frame.groupby([*KEYS, "progress"], sort=True):
            entrant, budget, seed, progress = cast(tuple[str, int, int, float], key)
            cell = (entrant, int(budget), int(seed))
            snapshots.setdefault(cell, {})[float(progress)] = self._snapshot(cell, part, codes)
        return snapshots

    def _snapshot(self, cell: Cell, part: pd.DataFrame, codes: Numbers) -> Snapshot:
        """codes: of all predictions, by the column `place`."""
        rows = part["row"].to_numpy()
        if len(rows) != len(self.ids) or len(np.unique(rows)) != len(self.ids):
            raise DataError(
                f"{_words(cell)} predicts {len(np.unique(rows))} different test rows in {len(rows)} predictions;"
                f" every snapshot predicts each of the {len(self.ids)} test rows once"
            )
        order = np.argsort(rows)
        prediction = codes[part["place"].to_numpy()[order]]
        columns = self.measure.columns
        low, high = (_optional(part, names, order) for names in ([c.low for c in columns], [c.high for c in columns]))
        if not self.classes:
            return Snapshot(prediction=prediction, probabilities=None, low=low, high=high)
        temperature = _optional(part, ["temperature"], order)
        probabilities = part["probabilities"].tolist()
        lengths = {len(p) for p in probabilities}
        if lengths != {len(self.classes)}:
            raise DataError(
                f"{_words(cell)} has {sorted(lengths)} probabilities a row; there are {len(self.classes)} classes"
            )
        table = np.array(probabilities, dtype=np.float64)[order]
        if not ((table >= 0) & (table <= 1)).all():  # NaN is neither
            raise DataError(
                f"{_words(cell)} has a probability that is not a number from 0 to 1; a training that diverged does"
                " that: lower its learning rate"
            )
        return Snapshot(prediction=prediction, probabilities=table, temperature=temperature)

    def _check_cells(self) -> None:
        for cell, snapshots in self._snapshots.items():
            if FINAL not in snapshots:
                raise DataError(
                    f"{_words(cell)} has snapshots at progress {sorted(snapshots)}; the final one, 1.0, is missing"
                )
            if cell not in self._cells:
                raise DataError(f"{_words(cell)} has predictions but no row in cells; finetune writes both")


def _optional(part: pd.DataFrame, names: Sequence[str], order: Codes) -> Floats | None:
    """Columns of numbers in that order, (rows, columns), or (rows,) of one; None where one is missing or has a gap."""
    if not set(names) <= set(part):
        return None
    values = part[list(names)].to_numpy(dtype=np.float64)[order]
    values = values[:, 0] if len(names) == 1 else values
    return values if np.isfinite(values).all() else None


def prediction_columns(measure: Measure) -> list[str]:
    """What a table of predictions must have."""
    if not measure.parts:
        return PREDICTION_COLUMNS
    values = [own.prediction for own in measure.columns]
    return [name for name in PREDICTION_COLUMNS if name not in ("prediction", "probabilities")] + values


def _index_cells(cells: pd.DataFrame) -> dict[Cell, dict[str, float]]:
    frame = _with_entrant(cells)
    repeated = frame[frame.duplicated(KEYS)]
    if len(repeated):
        raise DataError(f"cells has {_words(_cell(repeated.iloc[0]))} more than once; keep one row a training")
    for name in ("seconds", "compute", "pretraining_compute"):
        values = frame[name].astype(np.float64)
        unknown = values.isna() if name == "pretraining_compute" else False  # W may be someone else's
        odd = frame[~(np.isfinite(values) | unknown)]
        if len(odd):
            raise DataError(
                f"cells has no {name} for {_words(_cell(odd.iloc[0]))}; give a number, 0 where none was spent"
            )
    optional = [name for name in OPTIONAL_NUMBERS if name in frame]
    return {_cell(row): {name: float(row[name]) for name in [*NUMBERS, *optional]} for _, row in frame.iterrows()}


def _cell(row: "pd.Series[Any]") -> Cell:
    return str(row["entrant"]), int(row["label_budget"]), int(row["seed"])


def _with_entrant(frame: pd.DataFrame) -> pd.DataFrame:
    pairs = pd.MultiIndex.from_arrays([frame["strategy"], frame["variant"].fillna("")])  # a CSV reads "" as missing
    codes, distinct = pairs.factorize()
    found = [(Entrant.parse(str(strategy)), str(variant)) for strategy, variant in distinct]
    names = np.array([replace(own, variant=variant or own.variant).name for own, variant in found], dtype=object)
    return frame.assign(entrant=names[codes])


def _require(frame: pd.DataFrame, columns: list[str], what: str) -> None:
    missing = [column for column in columns if column not in frame]
    if missing:
        raise DataError(f"{what} lacks {', '.join(missing)}; it needs the columns {', '.join(columns)}")


def _words(cell: Cell) -> str:
    entrant, budget, seed = cell
    return f"{entrant} (label budget {budget}, seed {seed})"
