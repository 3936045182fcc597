"""gradual: blocks are thawed one by one, from the last to the first (ULMFiT's gradual unfreezing, 1801.06146)."""

from headstart.cells.cell import Cell, Fitted
from headstart.cells.tuning import image_inputs, tune


def fit(cell: Cell) -> Fitted:
    """Begins with the head alone; after `thawed_by` of the steps all is trained, the early blocks at lower rates.

    A block that is not thawed yet is as it is in W, BatchNorm statistics included.
    """
    card = cell.source_card
    normalisation = card.normalisation
    recipe = cell.recipe
    blocks = len(cell.flops)
    return tune(
        cell,
        cell.network_from_source,
        image_inputs(cell, normalisation),
        normalisation=normalisation,
        layer_decay=recipe.layer_decay,
        thaw=max(1, round(recipe.steps * recipe.thawed_by / blocks)),
        pretraining_compute=card.flops,
    )
