"""joint_supervised: one extractor is trained on labelled source AND target rows together (the article's first family).

Two heads, one for each domain, on features of one size; deep CORAL (Sun 2016, 1607.01719) draws the domains' second
moments together. Its weakness is a source of few rows: `source_rows` says how many it may use.
"""

from headstart.cells.cell import Cell, Fitted
from headstart.cells.terms import SourceRows
from headstart.cells.tuning import tune_from_source


def fit(cell: Cell) -> Fitted:
    """Trains on from W with both heads; the target's head alone is delivered."""
    return tune_from_source(
        cell,
        layer_decay=cell.recipe.layer_decay,
        term=lambda network: SourceRows(cell, align=cell.recipe.align),
        rows_beside=cell.recipe.source_batch,
    )
