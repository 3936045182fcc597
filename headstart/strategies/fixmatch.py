"""fixmatch: rows without labels are learned from too, by what the network is sure of (Sohn 2020, 2001.07685)."""

from headstart.cells.cell import Cell, Fitted
from headstart.cells.terms import Unlabelled, unlabelled_batch
from headstart.cells.tuning import tune_from_source
from headstart.strategies.settings import WEAK_AND_STRONG


def fit(cell: Cell) -> Fitted:
    """Fine-tunes everything from W on labelled and unlabelled rows; where there is none of those, as `full` does."""
    count = unlabelled_batch(cell)
    return tune_from_source(
        cell,
        layer_decay=cell.recipe.layer_decay,
        term=(lambda network: Unlabelled(cell)) if count else None,
        rows_beside=count * WEAK_AND_STRONG,
    )
