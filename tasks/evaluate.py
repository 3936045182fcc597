"""evaluate: the test labels are opened, once, and the question named beforehand is answered (the article's step 4)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from headstart.cells.effective import settings_for
from headstart.cells.job import PREDICTIONS
from headstart.cells.results import (
    read_cells,
    read_labelled,
    read_predictions,
    read_rounds,
    read_selection,
    read_speed,
    with_remedies,
)
from headstart.datasets.pack import Pack, read_test_labels
from headstart.entrants import Entrant
from headstart.evaluation.evaluate import Evaluation
from headstart.evaluation.evaluate import evaluate as compare
from headstart.evaluation.measures import measure_of
from headstart.evaluation.sentences import lines
from headstart.storage.publish import digest, read_manifest, write_json, write_text
from headstart.strategies.table import STRATEGIES
from headstart.training.chance import read_warning
from tasks.locks import held
from tasks.step import Context, Outcome, figures, log
from tasks.workspace import Workspace

LOCK_SECONDS = 60.0  # that counting waits for another run that counts
UNSEEN_WORDS = {"seen": "of seen classes", "unseen": "of unseen ones", "harmonic_mean": "harmonic mean"}


def evaluate(context: Context) -> Outcome:
    """Writes reports/comparison.csv, predictions.parquet, snapshots.csv, cells.csv and verdict.json.

    And for DVC's tables and plots, in short: metrics.json and curve.csv.
    """
    workspace = context.workspace
    pack = Pack(workspace.pack(context.settings.target.data))
    settings = settings_for(context.settings, pack.directory)
    tried = read_rounds(workspace.remedies)
    strategies = with_remedies(settings.finetune.strategies, [way["strategy"] for way in tried["ways"].values()])
    tried_in = [workspace.model(name) for name in settings.finetune.strategies]
    tried_in += [workspace.remedy(row["round"]) for row in tried["rounds"]]
    tried_in += [workspace.remedies / name for name in tried["beside"]]
    folders = [*tried_in, workspace.selection]
    cells = pd.concat([read_cells(folder) for folder in folders], ignore_index=True)
    unit = dict(zip(pack.examples["id"], pack.examples["group"], strict=True))
    predicted = digest([read_manifest(folder)[PREDICTIONS]["sha256"] for folder in folders])
    opened = count_opening(workspace.state / "opened.json", settings.target.data, predicted)
    measure = measure_of(pack.card)
    evaluation = compare(
        predictions=pd.concat([read_predictions(folder) for folder in folders], ignore_index=True),
        cells=cells,
        labelled={
            key: [[unit[row] for row in ids] for ids in draws]
            for folder in folders
            for key, draws in read_labelled(folder).items()
        },
        truth=read_test_labels(pack.directory),
        classes=pack.card.classes,
        families={name: STRATEGIES.get(name).family for name in strategies},
        chosen=read_selection(workspace.selection)["entrant"],
        headline_budget=settings.finetune.label_budget,
        settings=settings.evaluate,
        opened=opened,
        interim=tried["standing"],
        rounds=tried["rounds"],
        warnings=[said for name in settings.source.data if (said := read_warning(workspace.weights(name)))],
        measure=measure,
        folds=pack.card.folds,
        expected_overlap=pack.card.overlap(settings.finetune.label_budget),
        speeds=[read_speed(folder) for folder in tried_in],
        unseen=settings.target.unseen,
        shown=[name for name in strategies if STRATEGIES.get(name).role in ("shown", "baseline")],
        baselines={name: STRATEGIES.get(name).words for name in strategies if STRATEGIES.get(name).role == "baseline"},
    )
    _write(workspace, evaluation, cells)
    scores = _mean_scores(evaluation.comparison, measure.kind.metric)
    write_text(workspace.curve, scores.to_csv())
    headline = _headline(workspace.read_verdict(), scores.loc[settings.finetune.label_budget])
    write_json(workspace.metrics, headline)
    for line in lines(evaluation.verdict, measure) + _unseen_lines(evaluation.comparison, settings.target.unseen):
        log.info("%s", line)
    log.info("the test labels of %s were opened for %s in this workspace", settings.target.data, _comparisons(opened))
    return Outcome(
        f"comparison of {cells['strategy'].nunique()} entrants and verdict: reports/{workspace.verdict.name}",
        metrics=figures(workspace.read_verdict())
        | _scores(evaluation.comparison, measure.kind.metric, settings.finetune.label_budget)
        | {"test_labels_opened": float(opened)},
        artifacts=(workspace.comparison, workspace.predictions, workspace.snapshots, workspace.verdict),
        datasets=(settings.target.data,),
    )


def count_opening(path: Path, dataset: str, predicted: str) -> int:
    """For how many different comparisons this workspace has opened a dataset's test labels, this one included.

    Each look makes them staler. The same predictions again (a rerun, a repair) are the same look: `predicted` is their
    digest.
    """
    lock = path.parent / "locks" / "opened.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with held(
        lock, seconds=LOCK_SECONDS, what="counting looks at test labels"
    ):  # runs in worktrees count in the same file
        looks: dict[str, list[str]] = json.loads(path.read_text()) if path.is_file() else {}
        seen = looks.setdefault(dataset, [])
        if predicted not in seen:
            seen.append(predicted)
            write_json(path, looks)
        return seen.index(predicted) + 1


def _write(workspace: Workspace, evaluation: Evaluation, cells: pd.DataFrame) -> None:
    workspace.reports.mkdir(parents=True, exist_ok=True)
    write_text(workspace.comparison, evaluation.comparison.to_csv(index=False))
    write_text(workspace.snapshots, evaluation.snapshots.to_csv(index=False))
    write_text(workspace.cells_table, cells.to_csv(index=False))
    evaluation.predictions.to_parquet(workspace.predictions, index=False)
    write_json(workspace.verdict, evaluation.verdict.model_dump(mode="json"))


def _mean_scores(comparison: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Mean of the headline metric on test over seeds: a row a label budget, a column an entrant."""
    wanted = comparison[(comparison["metric"] == metric) & (comparison["split"] == "test")]
    return wanted.groupby(["label_budget", "strategy"])["value"].mean().unstack()


def _headline(verdict: Mapping[str, Any], scores: "pd.Series[float]") -> dict[str, Any]:
    """What `dvc metrics show` and `dvc exp show` have a column of: verdict.json has a hundred figures."""
    scratch, source = verdict["against_scratch"] or {}, verdict["against_source"] or {}
    found = {
        "verdict": scratch.get("verdict"),
        "strategy": scratch.get("strategy"),
        "gain": scratch.get("difference"),
        "gain_low": scratch.get("low"),
        "gain_high": scratch.get("high"),
        "gain_over_source": source.get("difference"),
        "labels_saved": (scratch.get("labels_saved") or {}).get("ratio"),
        "test": {str(name): float(f"{value:.12g}") for name, value in scores.dropna().items() if ":" not in str(name)},
    }
    return {name: value for name, value in found.items() if value is not None}


def _scores(comparison: pd.DataFrame, metric: str, budget: int) -> dict[str, float]:
    """Mean of the headline metric on test of each entrant at the headline budget."""
    wanted = (comparison["metric"] == metric) & (comparison["split"] == "test")
    means = comparison[wanted & (comparison["label_budget"] == budget)].groupby("strategy")["value"].mean()
    return {f"test.{metric}.{str(name).replace(':', '.')}": float(value) for name, value in means.items()}


def _unseen_lines(comparison: pd.DataFrame, unseen: tuple[str, ...]) -> list[str]:
    """How those did that had no label of some classes, a line each: on the others, on these, and both together."""
    names = [
        name for name in comparison["strategy"].unique() if STRATEGIES.get(Entrant.parse(name).strategy).needs_unseen
    ]
    lines = []
    for name in names:
        means = comparison[comparison["strategy"] == name].groupby("metric")["value"].mean()
        scores = ", ".join(f"{word} {means[key]:.1%}" for key, word in UNSEEN_WORDS.items() if key in means)
        lines.append(
            f"{name}, without a label of {', '.join(unseen)}: accuracy by class {scores}; each a mean over draws"
        )
    return lines


def _comparisons(number: int) -> str:
    return f"{number} comparison" if number == 1 else f"{number} comparisons"
