"""Is a new model better than the one in use? A paired comparison on the same rows, by the verdict's own interval."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from headstart.errors import DataError
from headstart.evaluation.contrasts import Contrast, contrast
from headstart.evaluation.decision import Word, decide
from headstart.evaluation.intervals import Floats
from headstart.evaluation.measures import Measure
from headstart.evaluation.settings import EvaluationSettings
from headstart.storage.publish import digest

BETTER: Word = "helped"  # the word of the verdict's rule for the first of two, which is the challenger here


@dataclass(frozen=True)
class Comparison:
    """word: of the verdict's rule, for the challenger. sentence: the difference with its interval, and the rows."""

    word: Word
    sentence: str

    @property
    def is_better(self) -> bool:
        return self.word == BETTER


def scored_columns(measure: Measure) -> list[str]:
    """id, group, truth, seed, prediction; of several values the truths and predictions of each."""
    return ["id", "group", *_truths(measure), "seed", *_predictions(measure)]


def rows_digest(table: pd.DataFrame, measure: Measure) -> str:
    """Digest of which rows were scored, with their truth and their units; models come into it nowhere.

    table: `scored_columns`, a row for each seed's prediction of each row.
    """
    truths = _truths(measure)
    rows = table[["id", "group", *truths]].drop_duplicates().astype(str).sort_values(["id", *truths])
    return digest(rows.to_numpy().tolist())


def compare(
    challenger: pd.DataFrame,
    champion: pd.DataFrame,
    *,
    measure: Measure,
    settings: EvaluationSettings,
    overlap: float = 0.0,
    without: Collection[str] = (),
) -> Comparison:
    """Compares two models' predictions of the same rows; positive means that the challenger is better.

    challenger, champion: `scored_columns`. Of one seed each, they are these two models; of several, the seeds that both
    have. overlap: share of labelled rows that two seeds have in common. without: ids that are left out.

    Raises:
        DataError: they have no row in common.
    """
    ours, theirs = (table[~table["id"].isin(list(without))] for table in (challenger, champion))
    ids = sorted(set(ours["id"]) & set(theirs["id"]))
    if not ids:
        raise DataError("the two models predicted no row that is the same; evaluate both on the same rows")
    about = ours.drop_duplicates("id").set_index("id").loc[ids]
    seeds = sorted(set(ours["seed"]) & set(theirs["seed"]))
    single = ours["seed"].nunique() == theirs["seed"].nunique() == 1
    pairs = [(ours, theirs)]
    if not single:
        pairs = [tuple(table[table["seed"] == seed] for table in (ours, theirs)) for seed in seeds]
    names = (_truths(measure), ours), (_predictions(measure), ours), (_predictions(measure), theirs)
    classes = sorted({str(name) for columns, table in names for name in table[columns].to_numpy().ravel()})
    truth = measure.read(about[_truths(measure)], classes, "truth")

    def scores(tables: list[pd.DataFrame]) -> Floats:
        predicted = (table.set_index("id").loc[ids, _predictions(measure)] for table in tables)
        return np.stack([measure.row_scores(truth, measure.read(own, classes, "predictions")) for own in predicted])

    measured = contrast(
        scores([own for own, _ in pairs]),
        scores([other for _, other in pairs]),
        units=np.unique(about["group"].astype(str).to_numpy(dtype=object), return_inverse=True)[1],
        overlap=None if single else overlap,
        confidence=settings.confidence,
        measure=measure,
    )
    ruling = decide(
        measured.interval,
        p_holm=measured.p_value,
        confidence=settings.confidence,
        margin=measure.margin(settings),
        units=measured.units,
        disagreeing_units=measured.flips.disagreeing_units,
    )
    return Comparison(ruling.verdict, _sentence(ruling.verdict, measured, measure, settings))


def _truths(measure: Measure) -> list[str]:
    return [own.truth for own in measure.columns]


def _predictions(measure: Measure) -> list[str]:
    return [own.prediction for own in measure.columns]


WORDS: dict[Word, str] = {
    "helped": "better",
    "hurt": "worse",
    "equivalent": "no different",
    "not settled": "not shown to be better or worse",
}


def _sentence(word: Word, measured: Contrast, measure: Measure, settings: EvaluationSettings) -> str:
    interval, noun = measured.interval, "group" if measured.grouped else "row"
    bounds = f"{measure.signed(interval.low)}..{measure.signed(interval.high)}"
    within = f" within {measure.size(measure.margin(settings))}" if word == "equivalent" else ""
    what = "these two models" if measured.seeds == 1 else f"{measured.seeds} seeds each"
    return (
        f"{WORDS[word]}{within}: {measure.amount(interval.estimate)} ({settings.confidence:.0%} CI {bounds}; {what}, "
        f"{measured.units:,} {noun}s that both predicted)"
    )
