"""explore: do the source's features already separate the target? Clusters, held against those of the raw inputs."""

import numpy as np

from headstart.datasets.pack import TEST, Pack
from headstart.datasets.values import in_words
from headstart.evaluation.clusters import Clusters, answer, sentence
from headstart.evaluation.explore import Targets, draw_rows
from headstart.evaluation.explore import explore as look
from headstart.features.files import POOLED
from headstart.storage.publish import verify, write_json
from tasks.step import Context, Outcome


def explore(context: Context) -> Outcome:
    """Publishes reports/clusters.json. Labels describe, and train nothing; rows of a test set are not looked at.

    In cross-validation every labelled row is a test row in its turn, and all of them are looked at.
    """
    workspace, settings = context.workspace, context.settings
    pack = Pack(workspace.pack(settings.target.data))
    outside = np.flatnonzero((pack.examples["split"] != TEST).to_numpy())
    values = _values(pack)[outside]
    drawn = draw_rows(values, seed=settings.seed)
    rows = outside[drawn]
    folders = {source: workspace.features(source, settings.target.data) for source in settings.source.data}
    for folder in folders.values():
        verify(folder)
    found = look(
        {source: np.load(folder / POOLED, mmap_mode="r")[rows] for source, folder in folders.items()},
        pack.card.row_kind.load().vectors(pack.inputs, rows),
        Targets(pack.ids(rows), values[drawn], pack.card.classes, in_words(pack.card.values)),
        of=len(outside),
        seed=settings.seed,
        confidence=settings.evaluate.confidence,
    )
    write_json(workspace.clusters, found.model_dump(mode="json"))
    return Outcome(
        f"do the source's features already separate the target? {answer(found)}: {sentence(found)}",
        metrics=_metrics(found),
        artifacts=(workspace.clusters,),
        datasets=(settings.target.data,),
    )


def _values(pack: Pack) -> np.ndarray:
    """(rows,) numbers of classes, or values, (rows, values) of several; NaN where a row has no label."""
    table = pack.examples[[own.given for own in pack.card.targets]]
    if len(pack.card.targets) > 1:
        return table.to_numpy(dtype=np.float64)
    column = table.iloc[:, 0]
    if pack.card.classes:
        column = column.map({name: float(number) for number, name in enumerate(pack.card.classes)})
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _metrics(found: Clusters) -> dict[str, float]:
    """Such as ari.mnist5k and ari.raw, at the k that all are compared at."""
    return {
        f"{name}.{vectors.source or 'raw'}": figure["value"]
        for vectors in (*found.sources, found.raw)
        if vectors.headline
        for name, figure in vectors.headline.model_dump(exclude={"k"}).items()
        if figure
    }
