"""gradual: blocks are thawed one by one, from the last to the first (ULMFiT's gradual unfreezing, 1801.06146)."""

from headstart.cells.cell import Cell, Fitted
from headstart.cells.tuning import tune_from_source


def fit(cell: Cell) -> Fitted:
    """Begins with the head alone; after `thawed_by` of the steps all is trained, the early blocks at lower rates.

    A block that is not thawed yet is as it is in W, BatchNorm statistics included.
    """
    recipe, blocks = cell.recipe, len(cell.flops)
    thaw = max(1, round(recipe.steps * recipe.thawed_by / blocks))
    return tune_from_source(cell, layer_decay=recipe.layer_decay, thaw=thaw)
