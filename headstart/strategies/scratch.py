"""scratch: the control. The same architecture from random weights, with the target's own normalisation."""

from headstart.cells.cell import Cell, Fitted
from headstart.cells.tuning import Inputs, tune
from headstart.training.rows import ImageRows


def fit(cell: Cell) -> Fitted:
    """Trains from nothing, as long as the recipe says: a control short of its plateau would decide the verdict."""
    normalisation = cell.own_normalisation
    inputs = Inputs(
        train=ImageRows(cell.images(cell.train_rows), normalisation, cell.recipe.augment),
        validation=ImageRows(cell.images(cell.validation_rows), normalisation),
        test=ImageRows(cell.images(cell.test_rows), normalisation),
    )
    return tune(cell, cell.new_network, inputs, normalisation=normalisation)
