"""The train-test gap: by how much an entrant is better on the rows it has seen."""

import numpy as np

from headstart.evaluation.document import Gap
from headstart.evaluation.intervals import Floats, Parts, Sampling, combine, one_flip, unit_scores, variance_parts


def gap(
    *,
    entrant: Floats,
    opponent: Floats,
    entrant_train: Floats,
    opponent_train: Floats,
    sampling: Sampling,
) -> Gap | None:
    """(train - test) of the entrant minus (train - test) of its opponent; negative means less overfitting.

    entrant, opponent: (seeds, rows), scores of the test rows; *_train: (seeds,), mean score on training rows.

    The variance is the two-way one: the row part and the residual come from the test rows, the seed part from the
    gaps by seed (training rows are another draw for each seed, so they are part of it).
    None where a training score is missing, as for a model that was never trained on the target.
    """
    own = (entrant_train - entrant.mean(axis=1)) / sampling.scale
    other = (opponent_train - opponent.mean(axis=1)) / sampling.scale
    if not np.isfinite(own - other).all():
        return None
    seeds, rows = entrant.shape
    table = variance_parts(unit_scores((entrant - opponent) / sampling.scale, sampling.units))
    parts = Parts(
        rows=table.rows + one_flip(rows),
        seeds=float((own - other).var(ddof=1)) / seeds if seeds > 1 else 0.0,
        residual=table.residual,
    )
    interval = combine(
        float((own - other).mean()),
        parts,
        seeds=seeds,
        units=int(sampling.units.max()) + 1,
        overlap=sampling.overlap,
        confidence=sampling.confidence,
    )
    interval = interval.scaled(sampling.scale).clipped(2.0 * sampling.largest)
    return Gap(
        difference=interval.estimate,
        low=interval.low,
        high=interval.high,
        strategy=float(own.mean()) * sampling.scale,
        opponent=float(other.mean()) * sampling.scale,
    )
