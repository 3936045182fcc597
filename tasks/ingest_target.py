"""ingest_target: the target is decoded once into a pack; its test rows are split off, their labels put apart."""

from headstart.datasets.ingest import ingest_target as pack_target
from headstart.datasets.table import units_of
from tasks.ingest import ingested
from tasks.step import Context, Outcome
from tasks.workers import pool


def ingest_target(context: Context) -> Outcome:
    """Publishes packs/<target> and packs/<target>.test."""
    workspace, settings = context.workspace, context.settings
    name = settings.target.data
    card = pack_target(
        workspace.data(name),
        workspace.pack(name),
        settings=settings.data,
        seed=settings.seed,
        units=units_of(name, settings.target.unit),
        workers=pool(),
        progress=lambda done, of: context.progress(f"decoding {name}", done, of),
    )
    return ingested(card)
