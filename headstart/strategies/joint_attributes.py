"""joint_attributes: one representation from source AND target rows where the source has attributes and no classes.

The article's semi-supervised family: beside the target's few labels, source rows have to give their attributes, and
target rows without a label have to look the same however they are changed.
"""

from headstart.backbones.network import Network
from headstart.cells.cell import Cell, Fitted
from headstart.cells.terms import SourceRows, Sum, Unlabelled, unlabelled_batch
from headstart.cells.tuning import tune_from_source
from headstart.strategies.settings import WEAK_AND_STRONG


def fit(cell: Cell) -> Fitted:
    """Trains on from W with the attributes' head beside the target's; the target's alone is delivered."""
    count = unlabelled_batch(cell)

    def both(network: Network) -> Sum:
        return Sum([SourceRows(cell), *([Unlabelled(cell)] if count else [])])

    return tune_from_source(
        cell,
        layer_decay=cell.recipe.layer_decay,
        term=both,
        rows_beside=cell.recipe.source_batch + count * WEAK_AND_STRONG,
    )
