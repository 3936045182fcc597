"""The evaluation of a run: from everyone's predictions on the same test rows to tables and a verdict."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pydantic import JsonValue

from headstart.evaluation.comparison import comparison_table, predictions_table, snapshots_table
from headstart.evaluation.document import Verdict
from headstart.evaluation.measures import RATE, Measure
from headstart.evaluation.outcomes import Outcomes
from headstart.evaluation.settings import EvaluationSettings
from headstart.evaluation.verdict import Question, reach_verdict


@dataclass(frozen=True)
class Evaluation:
    """comparison and predictions are comparison.csv and predictions.parquet; snapshots is for the report."""

    comparison: pd.DataFrame
    predictions: pd.DataFrame
    snapshots: pd.DataFrame
    verdict: Verdict


def evaluate(
    *,
    predictions: pd.DataFrame,
    cells: pd.DataFrame,
    labelled: Mapping[tuple[int, int], Sequence[Collection[str]]],
    truth: pd.DataFrame,
    classes: Sequence[str],
    families: Mapping[str, str],
    chosen: str,
    headline_budget: int,
    settings: EvaluationSettings,
    opened: int,
    interim: str | None = None,
    rounds: Sequence[dict[str, JsonValue]] = (),
    warnings: Sequence[str] = (),
    measure: Measure = RATE,
    folds: int = 0,
    expected_overlap: float = 0.0,
    speeds: Sequence[Mapping[str, Any]] = (),
    unseen: Sequence[str] = (),
    shown: Sequence[str] = (),
    baselines: Mapping[str, str] | None = None,
) -> Evaluation:
    """Compares all entrants and answers the one question that was named beforehand: did `chosen` help?

    predictions: strategy, variant, label_budget, seed, progress, id, prediction, probabilities.
    cells: strategy, variant, label_budget, seed, seconds, compute and pretraining_compute (FLOPs), train_score,
        validation_score, labels; one row a training.
    labelled: the labelled rows by (label_budget, seed), the same for all strategies: of each training (one a fold in
        cross-validation) the unit of each row, its group, or its id where there are none.
    truth: id, label or value, group; the group is the independent unit, the id itself where there are none.
    families: family by strategy, in the order of the tables.
    interim, rounds: how things stood on held-out labels, in words, and the remedies that were tried, a row each.
    warnings: what earlier steps have to say against the inputs; they stand before the comparison's own.
    opened: how often these test rows were opened, this time included.
    expected_overlap: share of labels that two seeds were expected to have in common, as the plan had it.
    measure: what the comparison is in; of values, classes are empty and probabilities null.
    speeds: of each delivered model's predictions: strategy, label_budget, seed, seconds, and the metrics of SPEEDS.
    unseen: classes that some entrant did without; the comparison then has scores on these and on the others.
    shown: strategies that are shown beside the others and could not have been chosen. baselines: of them the controls
        without a network, which the chosen one is held against, with what each is called in words.
    folds: of cross-validation, whose folds are one training here: a seed predicts each row once. 0: a test set.

    Raises:
        DataError: the inputs do not fit together (outcomes.py and verdict.py list how).
    """
    outcomes = Outcomes(
        predictions=predictions, cells=cells, labelled=labelled, truth=truth, classes=classes, measure=measure
    )
    question = Question(
        chosen,
        headline_budget,
        settings,
        folds=folds,
        expected_overlap=expected_overlap,
        shown=tuple(shown),
        baselines=baselines or {},
    )
    return Evaluation(
        comparison=comparison_table(outcomes, families, speeds=speeds, unseen=unseen, confidence=settings.confidence),
        predictions=predictions_table(outcomes, families),
        snapshots=snapshots_table(outcomes, families),
        verdict=reach_verdict(outcomes, question, opened=opened, interim=interim, rounds=rounds, warnings=warnings),
    )
