"""The ranking of sources in words, and beside it what fine-tuning from them came to in the last run."""

import json

import pandas as pd

from headstart.cells.effective import settings_for
from headstart.datasets.pack import read_pack_card
from headstart.evaluation.ranking import METHODS, Ranked, Ranking, read_ranking
from headstart.objectives.kinds import kind_of
from headstart.settings import Settings
from tasks.workspace import Workspace


def ranking_lines(workspace: Workspace, settings: Settings, *, as_json: bool) -> list[str]:
    """A line a source, the best first; the measured truth and Kendall's tau where a run fine-tuned from several."""
    table = pd.read_csv(workspace.ranking)
    pack = workspace.pack(settings.target.data)
    kind = kind_of(read_pack_card(pack))
    budget = settings_for(settings, pack).finetune.label_budget
    comparison = pd.read_csv(workspace.comparison) if workspace.comparison.is_file() else None
    ranking = read_ranking(table, comparison, kind=kind, label_budget=budget)
    if as_json:
        return [_as_json(table, ranking)]
    draws = f"{settings.finetune.seeds} draws of {kind.labels(budget)}"
    lines = [f"ranked by ridge: {kind.word} on labels left out in turn, {draws}"]
    lines += [f"{place}. {found.source}: {_words(found)}" for place, found in enumerate(ranking.sources, start=1)]
    if ranking.taus:
        said = ", ".join(f"{name} {ranking.taus[name]:+.2f}" for name in METHODS if name in ranking.taus)
        lines.append(f"Kendall's tau with what fine-tuning from {ranking.known} sources came to: {said}")
    return lines


def _as_json(table: pd.DataFrame, ranking: Ranking) -> str:
    truth = {found.source: found.fine_tuned for found in ranking.sources}
    rows = json.loads(table.to_json(orient="records"))  # null where a method has no interval
    return json.dumps([row | {"fine_tuned": truth[row["source"]]} for row in rows], indent=1)


def _words(found: Ranked) -> str:
    """Such as "0.953 (0.930..0.976), behind by 0.012 (-0.004..0.028); neighbours 0.94, LogME 0.31, 5,000 rows"."""
    ridge, gap = found.ridge, found.behind
    behind = f", behind by {gap.value:.3g} ({gap.low:.3g}..{gap.high:.3g})" if gap else ""
    known = f"; fine-tuned from it: {found.fine_tuned:.3g} on test rows" if found.fine_tuned is not None else ""
    return (
        f"{ridge.value:.3g} ({ridge.low:.3g}..{ridge.high:.3g}){behind}; neighbours {found.knn:.3g}, "
        f"LogME {found.logme:.3g}, {found.rows:,} rows{known}"
    )
