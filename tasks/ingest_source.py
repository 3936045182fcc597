"""ingest_source: a source is decoded once into a pack, without the rows that are among the target's test rows."""

from headstart.datasets.ingest import ingest_source as pack_source
from headstart.datasets.pack import Pack
from headstart.datasets.table import units_of
from headstart.datasets.weights_folder import find_weights, read_about
from headstart.datasets.weights_pack import pack_weights
from tasks.ingest import ingested
from tasks.step import Context, Outcome
from tasks.workers import pool


def ingest_source(context: Context, source: str) -> Outcome:
    """Publishes packs/<source>; the target's pack is there already, for its test rows leave the source."""
    workspace, settings = context.workspace, context.settings
    if find_weights(workspace.data(source)):
        classes = read_about(workspace.data(source)).classes
        return ingested(pack_weights(workspace.pack(source), settings=settings.data, classes=classes))
    target = Pack(workspace.pack(settings.target.data))
    card = pack_source(
        workspace.data(source),
        workspace.pack(source),
        settings=settings.data,
        excluded={row.rpartition("-")[0] for row in target.ids(target.rows(target.card.scored))},
        units=units_of(source, settings.source.unit),
        workers=pool(),
        progress=lambda done, of: context.progress(f"decoding {source}", done, of),
    )
    return ingested(card)
