"""scratch: the control. The same architecture from random weights, with the target's own normalisation."""

from headstart.cells.cell import Cell, Fitted
from headstart.cells.tuning import plain_inputs, tune


def fit(cell: Cell) -> Fitted:
    """Trains from nothing, as long as the recipe says: a control short of its plateau would decide the verdict."""
    normalisation = cell.own_normalisation
    return tune(cell, cell.new_network, plain_inputs(cell, normalisation), normalisation=normalisation)
