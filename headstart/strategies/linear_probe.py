"""linear_probe: a ridge head in closed form on W's pooled features; nothing of W is trained."""

import numpy as np
import torch
from torch import Tensor

from headstart.cells.cell import Cell, Fitted, Snapshot
from headstart.cells.ridge import solve_head
from headstart.features.files import POOLED
from headstart.training.flops import forward_flops


def fit(cell: Cell) -> Fitted:
    """Solves the head on all levels of the features that extract wrote."""
    features = torch.from_numpy(np.array(cell.features(POOLED))).double()
    train, validation, test = (
        features[torch.from_numpy(rows)] for rows in (cell.train_rows, cell.validation_rows, cell.test_rows)
    )
    objective = cell.objective
    head = solve_head(
        train,
        cell.train_labels,
        objective=objective,
        smallest=cell.recipe.smallest_penalty,
        largest=cell.recipe.largest_penalty,
    )

    def predict(rows: Tensor) -> Tensor:
        return objective.predict(rows @ head.weight.T + head.bias).float()

    card, body = cell.source_card, cell.source_network
    held = predict(validation)
    score = objective.kind.value(objective.score(held, cell.validation_labels))
    return Fitted(
        snapshots=(Snapshot(1.0, predict(test), held),),
        train=predict(train),
        tensors={f"blocks.{key}": value for key, value in body.blocks.state_dict().items()}
        | {"probe.weight": head.weight.float(), "probe.bias": head.bias.float()},
        kind="probe",
        normalisation=card.normalisation,
        levels=cell.job.levels,
        history=((1, "validation", objective.kind.metric, score),),
        compute=forward_flops(cell.flops, examples=len(cell.train_rows)) + head.compute,
        pretraining_compute=card.flops,
    )
