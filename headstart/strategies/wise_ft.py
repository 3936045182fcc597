"""wise_ft: between the probe on W and what it became when everything was trained (Wortsman 2022, 2109.01903).

Weights are interpolated, theta = (1 - alpha) theta_0 + alpha theta_1, and alpha is chosen on validation rows.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from headstart.cells.cell import Cell, Fitted, Snapshot
from headstart.cells.probe import network_from_probe, solve_probe
from headstart.cells.tuning import Inputs, plain_inputs, tune_from_source
from headstart.training.flops import forward_flops
from headstart.training.loop import predict


def fit(cell: Cell) -> Fitted:
    """Tunes as lp_ft does, then looks for the best point on the line from where it started."""
    head = solve_probe(cell)
    tuned = tune_from_source(
        cell,
        start=lambda: network_from_probe(cell, head),
        layer_decay=cell.recipe.layer_decay,
        extra_compute=forward_flops(cell.flops, examples=len(cell.train_rows)) + head.compute,
    )
    inputs = plain_inputs(cell, tuned.normalisation)
    start = network_from_probe(cell, head).state_dict()
    points = [_point(cell, inputs, start, tuned.tensors, alpha) for alpha in cell.recipe.alphas]
    best = max(points, key=lambda point: (point.score, -point.loss))
    looked = forward_flops(cell.flops, examples=len(points) * len(cell.validation_rows))
    last, kind = cell.recipe.steps, cell.objective.kind
    chosen = ((last, "validation", "alpha", best.alpha), (last, "validation", kind.metric, kind.value(best.score)))
    return replace(
        tuned,
        snapshots=(Snapshot(1.0, best.test, best.validation),),
        train=best.train,
        tensors=best.tensors,
        history=(*tuned.history, *chosen),
        compute=tuned.compute + looked,
    )


@dataclass(frozen=True)
class _Point:
    alpha: float
    tensors: dict[str, Tensor]
    train: Tensor
    validation: Tensor
    test: Tensor
    score: float
    loss: float


def _point(cell: Cell, inputs: Inputs, start: dict[str, Tensor], end: dict[str, Tensor], alpha: float) -> _Point:
    network = cell.new_network()
    network.load_state_dict(interpolate(start, end, alpha))
    train, validation, test = (
        predict(network, rows, accelerator=cell.accelerator, objective=cell.objective)
        for rows in (inputs.train, inputs.validation, inputs.test)
    )
    return _Point(
        alpha,
        {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()},
        train,
        validation,
        test,
        cell.objective.score(validation, cell.validation_labels),
        cell.objective.held_out_loss(validation, cell.validation_labels),
    )


def interpolate(start: dict[str, Tensor], end: dict[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """(1 - alpha) start + alpha end, running statistics included; counters are those of the end."""
    return {
        name: torch.lerp(start[name], last.cpu(), alpha) if last.is_floating_point() else last
        for name, last in end.items()
    }
