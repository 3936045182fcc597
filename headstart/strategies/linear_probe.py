"""linear_probe: a ridge head in closed form on W's pooled features; nothing of W is trained."""

from headstart.cells.cell import Cell, Fitted
from headstart.cells.ridge import solve_head
from headstart.cells.vectors import linear, vectors


def fit(cell: Cell) -> Fitted:
    """Solves the head on all levels of the features that extract wrote."""
    rows, recipe = vectors(cell), cell.recipe
    head = solve_head(
        rows.train,
        cell.train_labels,
        objective=cell.objective,
        smallest=recipe.smallest_penalty,
        largest=recipe.largest_penalty,
    )
    return linear(cell, rows, head.weight, head.bias, compute=head.compute, temperature=head.temperature)
