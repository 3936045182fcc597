"""full: all blocks are trained on from W, the early ones at lower rates; the head starts from W's matching classes."""

from headstart.cells.cell import Cell, Fitted
from headstart.cells.tuning import tune_from_source


def fit(cell: Cell) -> Fitted:
    """Fine-tunes everything."""
    return tune_from_source(cell, layer_decay=cell.recipe.layer_decay)
