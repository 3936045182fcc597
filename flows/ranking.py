"""The ranking of sources in words, and beside it what fine-tuning from them came to in the last run."""

import json

import pandas as pd

from headstart.cells.effective import settings_for
from headstart.datasets.pack import read_pack_card
from headstart.evaluation.ranking import KNN, LOGME, METHODS, RIDGE, SIZE, agreement, fine_tuned
from headstart.objectives.kinds import KINDS, Kind
from headstart.settings import Settings
from headstart.strategies.table import STRATEGIES
from tasks.workspace import Workspace


def ranking_lines(workspace: Workspace, settings: Settings, *, as_json: bool) -> list[str]:
    """A line a source, the best first; the measured truth and Kendall's tau where a run fine-tuned from several."""
    table = pd.read_csv(workspace.ranking)
    pack = workspace.pack(settings.target.data)
    kind = KINDS[read_pack_card(pack).kind]
    budget = settings_for(settings, pack).finetune.label_budget
    truth = _truth(workspace, kind, budget)
    if as_json:
        rows = json.loads(table.to_json(orient="records"))  # null where a method has no interval
        return [json.dumps([row | {"fine_tuned": truth.get(row["source"])} for row in rows], indent=1)]
    draws = f"{settings.finetune.seeds} draws of {kind.labels(budget)}"
    lines = [f"ranked by ridge: {kind.word} on labels left out in turn, {draws}"]
    for place, source in enumerate(table[table["method"] == RIDGE]["source"], start=1):
        own = table[table["source"] == source].set_index("method")
        known = f"; fine-tuned from it: {truth[source]:.3g} on test rows" if source in truth else ""
        lines.append(f"{place}. {source}: {_words(own, kind, best=place == 1)}{known}")
    taus = agreement(table, {source: kind.sign * value for source, value in truth.items()})
    if taus:
        said = ", ".join(f"{name} {taus[name]:+.2f}" for name in METHODS if name in taus)
        known_sources = table["source"].isin(list(truth)).sum() // len(METHODS)
        lines.append(f"Kendall's tau with what fine-tuning from {known_sources} sources came to: {said}")
    return lines


def _words(own: pd.DataFrame, kind: Kind, *, best: bool) -> str:
    """Such as "0.953 (0.930..0.976), behind by 0.012 (-0.004..0.028); neighbours 0.94, LogME 0.31, 5,000 rows"."""
    ridge = own.loc[RIDGE]
    low, high = sorted((kind.value(ridge["low"]), kind.value(ridge["high"])))
    behind = f", behind by {-ridge['behind']:.3g} ({-ridge['behind_high']:.3g}..{-ridge['behind_low']:.3g})"
    return (
        f"{kind.value(ridge['value']):.3g} ({low:.3g}..{high:.3g}){'' if best else behind}; neighbours "
        f"{kind.value(own.loc[KNN, 'value']):.3g}, LogME {own.loc[LOGME, 'value']:.3g}, "
        f"{own.loc[SIZE, 'value']:,.0f} rows"
    )


def _truth(workspace: Workspace, kind: Kind, budget: int) -> dict[str, float]:
    """What the last run's fine-tuning from each source came to; nothing where there was none, or one source."""
    if not workspace.comparison.is_file():
        return {}
    ways = [entry.name for entry in STRATEGIES if entry.role == "transfer"]
    return fine_tuned(pd.read_csv(workspace.comparison), metric=kind.metric, label_budget=budget, ways=ways)
