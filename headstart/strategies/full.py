"""full: all blocks are trained on from W, the early ones at lower rates; the head starts from W's matching classes."""

from headstart.cells.cell import Cell, Fitted
from headstart.cells.tuning import Inputs, tune
from headstart.training.rows import ImageRows


def fit(cell: Cell) -> Fitted:
    """Fine-tunes everything, under the normalisation that W was trained with: another one was measured to hurt."""
    card = cell.source_card
    normalisation = card.normalisation

    inputs = Inputs(
        train=ImageRows(cell.images(cell.train_rows), normalisation, cell.recipe.augment),
        validation=ImageRows(cell.images(cell.validation_rows), normalisation),
        test=ImageRows(cell.images(cell.test_rows), normalisation),
    )
    return tune(
        cell,
        cell.network_from_source,
        inputs,
        normalisation=normalisation,
        layer_decay=cell.recipe.layer_decay,
        pretraining_compute=card.flops,
    )
