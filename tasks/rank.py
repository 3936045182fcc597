"""rank: which source's W tells the target's labels apart best, before anything is fine-tuned."""

import pandas as pd

from headstart.cells.grid import budget_jobs
from headstart.cells.rank import rank_sources
from headstart.datasets.pack import read_pack_card
from headstart.evaluation.ranking import RIDGE
from headstart.objectives.kinds import kind_of
from headstart.storage.publish import write_text
from tasks.grid import grid_settings, inputs_of, places
from tasks.step import Context, Outcome

WAY = "linear_probe"  # whose labels and vectors are looked at


def rank(context: Context) -> Outcome:
    """Publishes reports/ranking.csv: each source by ridge, nearest neighbours, LogME and size."""
    workspace, settings = context.workspace, grid_settings(context)
    sources, recipe = settings.source.data, settings.recipe(WAY)
    card = read_pack_card(workspace.pack(settings.target.data))
    jobs = {
        source: [
            job
            for job in budget_jobs(
                settings, WAY, settings.finetune.label_budget, places(context, source), inputs_of(context, WAY, source)
            )
            if job.fold in (None, 0)  # in cross-validation one fold's labels a seed
        ]
        for source in sources
    }
    table = rank_sources(
        jobs,
        {source: sum(read_pack_card(workspace.pack(source)).splits.values()) for source in sources},
        smallest=recipe.smallest_penalty,
        largest=recipe.largest_penalty,
        confidence=settings.evaluate.confidence,
        bounds=kind_of(card).bounds,
    )
    write_text(workspace.ranking, table.to_csv(index=False))
    kind = kind_of(card)
    ridge = table[table["method"] == RIDGE]
    return Outcome(
        _line(ridge, kind.word, kind.sign),
        metrics={
            f"{row.method}.{row.source}": float(row.value)
            for row in table.itertuples(index=False)
            if pd.notna(row.value)
        },
        artifacts=(workspace.ranking,),
        datasets=(settings.target.data,),
    )


def _line(ridge: pd.DataFrame, word: str, sign: int) -> str:
    """Such as "by ridge, accuracy on labels left out in turn: mnist5k 0.93, shapes 0.61"."""
    each = ", ".join(f"{row.source} {sign * row.value:.3g}" for row in ridge.itertuples(index=False))
    return f"by ridge, {word} on labels left out in turn: {each}"
