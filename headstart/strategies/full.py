"""full: all blocks are trained on from W, the early ones at lower rates; the head starts from W's matching classes."""

from headstart.cells.cell import Cell, Fitted
from headstart.cells.tuning import image_inputs, tune


def fit(cell: Cell) -> Fitted:
    """Fine-tunes everything, under the normalisation that W was trained with: another one was measured to hurt."""
    card = cell.source_card
    normalisation = card.normalisation
    return tune(
        cell,
        cell.network_from_source,
        image_inputs(cell, normalisation),
        normalisation=normalisation,
        layer_decay=cell.recipe.layer_decay,
        pretraining_compute=card.flops,
    )
