"""lp_ft: probe, then all (Kumar 2022, 2202.10054): the head is solved for on W's features, then everything is trained.

A head that starts from nothing sends large gradients through good features while it is still wrong, and spoils them;
one that fits what W computes leaves them as they are, so that a low rate is enough.
"""

from headstart.cells.cell import Cell, Fitted
from headstart.cells.probe import network_from_probe, solve_probe
from headstart.cells.tuning import image_inputs, tune
from headstart.training.flops import forward_flops


def fit(cell: Cell) -> Fitted:
    """Solves the head, then fine-tunes everything under the normalisation that W was trained with."""
    card = cell.source_card
    normalisation = card.normalisation
    head = solve_probe(cell)
    return tune(
        cell,
        lambda: network_from_probe(cell, head),
        image_inputs(cell, normalisation),
        normalisation=normalisation,
        layer_decay=cell.recipe.layer_decay,
        extra_compute=forward_flops(cell.flops, examples=len(cell.train_rows)) + head.compute,
        pretraining_compute=card.flops,
    )
