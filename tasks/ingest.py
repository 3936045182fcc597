"""ingest: a dataset is decoded once into a pack. The target's test rows are split off, their labels put apart."""

from headstart.datasets.ingest import ingest_source, ingest_target
from headstart.datasets.pack import TEST, Card, Pack
from tasks.step import Context, Outcome
from tasks.workers import pool


def ingest(context: Context, role: str) -> Outcome:
    """Packs the source or the target; role says which. The target comes first: its test rows leave the source."""
    card = _source(context) if role == "source" else _target(context)
    rejected = sum(card.rejected.values())
    line = f"{card.name}: {sum(card.splits.values()):,} rows"
    line += f" in {len(card.classes)} classes" if card.classes else f" with values, {card.unit}".removesuffix(", ")
    line += f", {card.splits[TEST]:,} of them test rows" if TEST in card.splits else ""
    line += f"; {rejected} files set aside (packs/{card.name}/rejected.csv)" if rejected else ""
    line += (
        f"; {card.removed_overlap} rows left out that are among the target's test rows" if card.removed_overlap else ""
    )
    return Outcome(
        line,
        params={"dataset": card.name, "classes": len(card.classes)},
        metrics={f"rows.{split}": count for split, count in card.splits.items()}
        | {"rejected": rejected, "duplicates": card.duplicates, "removed_overlap": card.removed_overlap},
        datasets=(card.name,),
    )


def _target(context: Context) -> Card:
    workspace, settings = context.workspace, context.settings
    name = settings.target.data
    return ingest_target(
        workspace.data(name),
        workspace.pack(name),
        settings=settings.data,
        seed=settings.seed,
        workers=pool(),
        progress=lambda done, of: context.progress(f"decoding {name}", done, of),
    )


def _source(context: Context) -> Card:
    workspace, settings = context.workspace, context.settings
    name = settings.source.data
    target = Pack(workspace.pack(settings.target.data))
    return ingest_source(
        workspace.data(name),
        workspace.pack(name),
        settings=settings.data,
        excluded={row.rpartition("-")[0] for row in target.ids(target.rows(TEST))},
        workers=pool(),
        progress=lambda done, of: context.progress(f"decoding {name}", done, of),
    )
