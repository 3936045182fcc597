"""The report's numbers: what its tiles, tables and figures say, worked out from the tables given.

No statistics of its own: intervals and p-values come with the verdict and are only passed on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headstart.entrants import CONTROL, Entrant
from headstart.evaluation.metrics import PREDICTION, SPEEDS
from headstart.report import words
from headstart.report.inputs import ReportInputs


@dataclass(frozen=True)
class Contrast:
    """One pre-named comparison of the chosen strategy, ready to be said and drawn."""

    against: str
    sentence: str
    verdict: str
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None  # after Holm where that is given


@dataclass(frozen=True)
class Tile:
    """One number of the verdict with its name and what qualifies it."""

    name: str
    value: str
    note: str


def label(strategy: str, variant: str = "") -> str:
    """A strategy's name as the page writes it: ("scratch", "half_steps") -> "scratch, half steps"."""
    entrant = Entrant.parse(strategy)
    return replace(entrant, variant=entrant.variant or variant).words


def order(inputs: ReportInputs) -> list[str]:
    """Strategies as every figure and table lists them: source, scratch, chosen, then as they come."""
    every = [str(name) for name in pd.unique(inputs.comparison["strategy"])]
    names = [name for name in every if name == CONTROL or Entrant.parse(name).strategy != CONTROL]
    first = [name for name in (inputs.source, CONTROL, inputs.chosen) if name in names]
    return list(dict.fromkeys(first + names))


# ---- the verdict ---------------------------------------------------------------------------------------


def contrasts(inputs: ReportInputs) -> list[Contrast]:
    """The pre-named contrasts there are; the first is the verdict's own."""
    titles = {
        "against_scratch": "scratch",
        "against_source": "the source as it is",
        "equal_compute": "scratch, equal compute",
    }
    found = [(title, inputs.verdict.get(key)) for key, title in titles.items()]
    return [_contrast(title, entry) for title, entry in found if entry]


def tiles(inputs: ReportInputs) -> list[Tile]:
    """The verdict's numbers, most wanted first; those that are not there are left out."""
    entry = inputs.verdict.get("against_scratch") or {}
    compute = entry.get("compute_saved") or {}
    made = [
        *(_contrast_tile(contrast, inputs) for contrast in contrasts(inputs)[:2]),
        _saving_tile("labels saved", entry.get("labels_saved"), "for scratch to score the same"),
        _saving_tile("compute saved, given W", compute.get("given_w"), "to reach scratch's final score"),
        _saving_tile("compute saved, with pretraining", compute.get("with_pretraining"), "W made for this alone"),
        _flips_tile(entry),
        _gap_tile(entry.get("gap") or {}, inputs),
    ]
    return [tile for tile in made if tile.value != words.UNKNOWN]


def _contrast(title: str, entry: Mapping[str, Any]) -> Contrast:
    p_value = words.known(entry.get("p_holm"))
    return Contrast(
        against=title,
        sentence=str(entry.get("sentence") or ""),
        verdict="withheld" if entry.get("withheld") else str(entry.get("verdict") or "no verdict"),
        difference=words.known(entry.get("difference")),
        low=words.known(entry.get("low")),
        high=words.known(entry.get("high")),
        p_value=words.known(entry.get("p_value")) if p_value is None else p_value,
    )


def _contrast_tile(contrast: Contrast, inputs: ReportInputs) -> Tile:
    between = inputs.amounts.interval(contrast.low, contrast.high)
    notes = [
        f"{between} ({inputs.confidence})" if between != words.UNKNOWN else "",
        words.probability(contrast.p_value) if contrast.p_value is not None else "",
    ]
    return Tile(
        f"against {contrast.against}", inputs.amounts.amount(contrast.difference), ", ".join(filter(None, notes))
    )


def _saving_tile(name: str, saved: Mapping[str, Any] | None, note: str) -> Tile:
    between = words.times_interval(saved)
    return Tile(name, words.times(saved), f"{between}; {note}" if between else note)


def _flips_tile(entry: Mapping[str, Any]) -> Tile:
    """Won and lost rows, as means over seeds where those are given."""
    name, a_seed = "test rows won / lost", words.known(entry.get("wins_per_seed")) is not None
    keys = ("wins_per_seed", "losses_per_seed") if a_seed else ("wins", "losses")
    wins, losses = (words.known(entry.get(key)) for key in keys)
    if wins is None or losses is None:
        return Tile(name, words.UNKNOWN, "")
    rows = words.known(entry.get("rows"))
    note = f"over scratch{', a seed' if a_seed else ''}{f', of {words.count(rows)} rows' if rows else ''}"
    return Tile(name, f"{words.brief(wins)} / {words.brief(losses)}", note)


def _gap_tile(gap: Mapping[str, Any], inputs: ReportInputs) -> Tile:
    between = inputs.amounts.interval(gap.get("low"), gap.get("high"))
    note = f"{between} ({inputs.confidence}); below 0, transfer overfits less"
    return Tile("train-test gap, over scratch's", inputs.amounts.amount(gap.get("difference")), note)


# ---- scores --------------------------------------------------------------------------------------------


def test_scores(inputs: ReportInputs) -> pd.DataFrame:
    """One row for each strategy, budget and seed: its test score in the headline metric."""
    return _scores(inputs, "test", inputs.metric)


def curve(scores: pd.DataFrame, strategy: str) -> pd.DataFrame:
    """Mean, sd (NaN with one seed) and number of seeds of one strategy, a row for each label_budget, rising."""
    own = scores[scores["strategy"] == strategy]
    summed = own.groupby("label_budget")["value"].agg(["mean", "std", "count"])
    return summed.reset_index().sort_values("label_budget")


def comparison_rows(inputs: ReportInputs) -> list[dict[str, Any]]:
    """The comparison table: one row for each strategy (the control's shorter trainings too) and budget."""
    scores = test_scores(inputs)
    families = dict(zip(inputs.comparison["strategy"], inputs.comparison["family"], strict=True))
    rows = []
    for strategy in _with_variants(inputs):
        for point in curve(scores, strategy).to_dict("records"):
            budget = int(point["label_budget"])
            rows.append(
                {
                    "strategy": label(strategy),
                    "family": families[strategy],
                    "budget": budget,
                    "seeds": int(point["count"]),
                    "test": inputs.amounts.mean_sd(point["mean"], point["std"]),
                    "others": [_other(inputs, strategy, budget, *column) for column in other_columns(inputs)],
                    "role": _role(inputs, strategy, budget),
                }
            )
    return rows


def other_columns(inputs: ReportInputs) -> list[tuple[str, str]]:
    """(split, metric) of the comparison table's further columns: other metrics on test, the headline one elsewhere."""
    there = inputs.comparison[["split", "metric"]].drop_duplicates().itertuples(index=False, name=None)
    pairs = [(str(split), str(metric)) for split, metric in there]
    kept = [pair for pair in pairs if (pair[0] == "test") != (pair[1] == inputs.metric)]
    kept = [pair for pair in kept if not pair[1].endswith(("_before", "coverage_low", "coverage_high"))]
    kept = [pair for pair in kept if "." not in pair[1]]  # of one of several values
    return sorted(kept, key=lambda pair: (pair[0] != "test", pair[0] == "train"))


def _other(inputs: ReportInputs, strategy: str, budget: int, split: str, metric: str) -> str:
    table = _scores(inputs, split, metric)
    mean = table[(table["strategy"] == strategy) & (table["label_budget"] == budget)]["value"].mean()
    if "loss" in metric or metric == "r2":
        return words.UNKNOWN if words.known(mean) is None else f"{mean:.2f}"
    if metric in ("coverage", "joint_coverage"):
        return words.percent(mean)
    return inputs.amounts.mean_sd(mean, None)


def _scores(inputs: ReportInputs, split: str, metric: str) -> pd.DataFrame:
    table = inputs.comparison
    kept = table[(table["split"] == split) & (table["metric"] == metric)]
    return kept.dropna(subset=["value", "label_budget"]).astype({"label_budget": int})


def _with_variants(inputs: ReportInputs) -> list[str]:
    names, every = order(inputs), [str(name) for name in pd.unique(inputs.comparison["strategy"])]
    beside = [one for name in names for one in [name, *(other for other in every if other.startswith(f"{name}:"))]]
    return list(dict.fromkeys(beside))


def _role(inputs: ReportInputs, strategy: str, budget: int) -> str:
    if budget == inputs.headline_budget and strategy == inputs.chosen:
        return "pre-named contrast"
    return "control" if Entrant.parse(strategy).strategy == CONTROL else "exploratory"


# ---- cost ----------------------------------------------------------------------------------------------


def cost_rows(inputs: ReportInputs) -> list[dict[str, Any]]:
    """What one training of each strategy took at the headline budget, as means over seeds, with bar lengths in %.

    Beside it how fast its delivered model predicts; a variant is not delivered, nor a second source's.
    """
    cells = inputs.cells[inputs.cells["label_budget"] == inputs.headline_budget]
    cells = cells if len(cells) else inputs.cells
    rank = {name: place for place, name in enumerate(order(inputs))}
    cells = cells.assign(variant=cells["variant"].fillna("").astype(str))
    groups = [(str(s), str(v), own) for (s, v), own in cells.groupby(["strategy", "variant"], sort=False)]
    groups.sort(key=lambda group: (rank.get(group[0], len(rank)), group[1]))  # "" first: the strategy itself
    rows = [
        _cost_row(label(strategy, variant), own) | _speed(inputs, strategy, variant)
        for strategy, variant, own in groups
    ]
    for quantity in ("seconds", "total"):
        longest = max((row[quantity] or 0.0 for row in rows), default=0.0)
        for row in rows:
            row[f"{quantity}_bar"] = round(100 * (row[quantity] or 0.0) / longest, 1) if longest > 0 else 0.0
    return rows


def _cost_row(name: str, own: pd.DataFrame) -> dict[str, Any]:
    numbers = ("seconds", "compute", "pretraining_compute", "labels")
    row: dict[str, Any] = {key: words.known(own[key].mean()) for key in numbers}
    total = None if row["compute"] is None else row["compute"] + (row["pretraining_compute"] or 0.0)
    return row | {"strategy": name, "total": total}


def _speed(inputs: ReportInputs, strategy: str, variant: str) -> dict[str, float | None]:
    table = inputs.comparison[(inputs.comparison["split"] == PREDICTION) & (inputs.comparison["strategy"] == strategy)]
    measured = {} if variant else dict(zip(table["metric"], table["value"], strict=True))
    return {metric: words.known(measured.get(metric)) for metric in SPEEDS}


# ---- predictions ---------------------------------------------------------------------------------------


def predicted(inputs: ReportInputs, strategy: str) -> pd.DataFrame:
    """id, seed, truth, prediction (class names, or values) of a strategy at the headline budget.

    Of several values <name>_truth and <name> of each. A strategy that was not run there (a source model that sees no
    labels) gives what it has.
    """
    own = inputs.predictions[inputs.predictions["strategy"] == strategy]
    there = own[own["label_budget"] == inputs.headline_budget]
    columns = [name for one in inputs.measure.columns for name in (one.truth, one.prediction)]
    table = (there if len(there) else own)[["id", "seed", *columns]].copy()
    for column in columns:
        table[column] = class_names(table[column], inputs) if inputs.classes else table[column].astype(float)
    return table


def class_names(column: "pd.Series[Any]", inputs: ReportInputs) -> "pd.Series[Any]":
    """Names for a column of classes, which may hold indices."""
    if pd.api.types.is_integer_dtype(column):
        return column.map(dict(enumerate(inputs.classes)))
    return column.astype(str)


def confusion(table: pd.DataFrame, classes: list[str]) -> NDArray[np.float64]:
    """Share of each true class (row) given each class (column), over all rows and seeds; (classes, classes).

    A class without test rows is a row of zeros.
    """
    counts = pd.crosstab(table["truth"], table["prediction"]).reindex(index=classes, columns=classes, fill_value=0)
    numbers = counts.to_numpy(dtype=np.float64)
    return np.asarray(numbers / np.maximum(numbers.sum(axis=1, keepdims=True), 1.0))


def worst_confusions(matrix: NDArray[np.float64], classes: list[str], most: int = 3) -> list[str]:
    """The largest errors in words: "8 taken for 1 (12%)"."""
    errors, names = matrix - np.diag(np.diag(matrix)), [words.shorten(name, 24) for name in classes]
    places = np.argsort(-errors, axis=None, kind="stable")[:most]
    pairs = [divmod(int(place), len(classes)) for place in places]
    return [f"{names[t]} taken for {names[p]} ({errors[t, p]:.0%})" for t, p in pairs if errors[t, p] > 0]


def flips(inputs: ReportInputs) -> pd.DataFrame:
    """Scratch's and the chosen strategy's prediction of each test row under each seed that both have.

    Columns: id, seed, truth, scratch, chosen, gain (of the chosen one, in the measure's scores), won (only the chosen
    one is right, or it is nearer to a value), lost (the reverse). Of several values truth, scratch and chosen are each
    followed by a point and the value's name.
    """
    columns, names = inputs.measure.columns, [f".{name}" for name, _ in inputs.measure.parts] or [""]
    given = {one.truth: f"truth{name}" for one, name in zip(columns, names, strict=True)}
    before, after = (
        predicted(inputs, strategy).rename(
            columns=given | {one.prediction: f"{who}{name}" for one, name in zip(columns, names, strict=True)}
        )
        for strategy, who in ((CONTROL, "scratch"), (inputs.chosen, "chosen"))
    )
    both = before.merge(after.drop(columns=list(given.values())), on=["id", "seed"])
    tables = (both[[f"{who}{name}" for name in names]].to_numpy() for who in ("truth", "scratch", "chosen"))
    truth, scratch, chosen = (table if inputs.measure.parts else table[:, 0] for table in tables)
    score = inputs.measure.row_scores
    gain = score(truth, chosen) - score(truth, scratch)
    return both.assign(gain=gain, won=gain > 0, lost=gain < 0)
