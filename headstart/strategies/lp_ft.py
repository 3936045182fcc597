"""lp_ft: probe, then all (Kumar 2022, 2202.10054): the head is solved for on W's features, then everything is trained.

A head that starts from nothing sends large gradients through good features while it is still wrong, and spoils them;
one that fits what W computes leaves them as they are, so that a low rate is enough.
"""

from headstart.cells.cell import Cell, Fitted
from headstart.cells.probe import network_from_probe, solve_probe
from headstart.cells.tuning import tune_from_source
from headstart.training.flops import forward_flops


def fit(cell: Cell) -> Fitted:
    """Solves the head, then fine-tunes everything."""
    head = solve_probe(cell)
    return tune_from_source(
        cell,
        start=lambda: network_from_probe(cell, head),
        layer_decay=cell.recipe.layer_decay,
        extra_compute=forward_flops(cell.flops, examples=len(cell.train_rows)) + head.compute,
    )
