"""knn: the targets of the nearest labelled rows, weighted by their nearness; no task model (Wu 2018, 1805.01978)."""

import torch
from torch import Tensor

from headstart.cells.cell import Cell, Fitted
from headstart.cells.vectors import centre_of_source, centred, fitted, vectors
from headstart.objectives import neighbours


def fit(cell: Cell) -> Fitted:
    """Chooses how many neighbours vote by leaving each training row out, and calibrates the scores on the same.

    Vectors are centred on the SOURCE's mean and brought to unit length, as nearest_mean has them.
    """
    centre, objective = centre_of_source(cell), cell.objective
    rows = vectors(cell)
    bank = centred(rows.train, centre)
    targets = objective.vote_targets(cell.train_labels)
    count, left_out = _choose(cell, bank, targets)
    temperature = objective.calibrate(left_out, cell.train_labels)
    kept = {
        "features": bank,
        "targets": targets,
        "count": torch.tensor([count]),
        "temperature": torch.tensor([temperature]),
    }
    pairs = float(len(bank) ** 2)
    return fitted(
        cell,
        rows,
        lambda part: neighbours.score(centred(part, centre), kept, objective.from_votes),
        kept | {"centre": centre},
        kind="neighbours",
        compute=2.0 * pairs * bank.shape[1],
        temperature=temperature,
    )


def _choose(cell: Cell, bank: Tensor, targets: Tensor) -> tuple[int, Tensor]:
    """The number of neighbours that does best on rows left out, and their scores; ties go to the smaller loss."""
    objective = cell.objective
    most = len(bank) - 1
    scores = {
        count: objective.from_votes(neighbours.votes(bank, bank, targets, count=count, own=True))
        for count in sorted({min(count, most) for count in cell.recipe.neighbours})
    }

    def quality(count: int) -> tuple[float, float]:
        predictions = objective.predict(scores[count])
        return (
            objective.score(predictions, cell.train_labels),
            -objective.held_out_loss(predictions, cell.train_labels),
        )

    best = max(scores, key=quality)
    return best, scores[best]
