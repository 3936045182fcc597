"""tfidf: runs of tokens weighed by how rare they are, and a ridge head; no network, and nothing of the source.

What a text task needs no transfer for is seen beside scratch: on few labels it is the harder one to beat.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from headstart.cells.cell import Cell, Fitted, Snapshot
from headstart.cells.ridge import Solved, solve_head
from headstart.modalities.text import hashed_runs
from headstart.training.rows import Normalisation

WIDTH = 1 << 16  # columns; a run goes to the one that its hash says
LONGEST = {True: 5, False: 2}  # tokens of a run: of bytes, and of a tokenizer's pieces
BYTES = 257  # symbols up to which tokens are bytes

Bag = Any  # scipy's csr_array, which has no types


def fit(cell: Cell) -> Fitted:
    """Rarities and head from the cell's labelled training rows alone; the penalty by leaving each of them out."""
    longest = LONGEST[cell.pack.card.channels <= BYTES]
    train, validation, test = (
        bag(cell.images(rows), longest=longest) for rows in (cell.train_rows, cell.validation_rows, cell.test_rows)
    )
    idf = rarity(train)
    head = solve(weighed(train, idf), cell)
    meaning = cell.objective
    scored = [meaning.predict(scores(weighed(part, idf), head)).float() for part in (train, validation, test)]
    value = meaning.kind.value(meaning.score(scored[1], cell.validation_labels))
    return Fitted(
        snapshots=(Snapshot(1.0, scored[2], scored[1]),),
        train=scored[0],
        tensors={
            "tfidf.idf": torch.from_numpy(idf),
            "tfidf.weight": head.weight.float(),
            "tfidf.bias": head.bias.float(),
            "tfidf.longest": torch.tensor([longest]),
        },
        kind="tfidf",
        normalisation=Normalisation((), ()),
        levels=0,
        history=((1, "validation", meaning.kind.metric, value),),
        compute=head.compute,
        pretraining_compute=0.0,
    )


def bag(rows: NDArray[np.integer[Any]], *, longest: int) -> Bag:
    """(rows, WIDTH): the logarithm of how often each run of tokens occurs, plus 1; rows: (rows, length), 0 padding."""
    columns, counts, ends = [], [], [0]
    for row in rows:
        found, times = np.unique(hashed_runs(row[row != 0].astype(np.int64), longest, width=WIDTH), return_counts=True)
        columns.append(found)
        counts.append(1 + np.log(times))
        ends.append(ends[-1] + len(found))
    parts = (np.concatenate([*counts, []]), np.concatenate([*columns, []]).astype(np.int64), np.array(ends))
    return sparse.csr_array(parts, shape=(len(rows), WIDTH))


def rarity(counts: Bag) -> NDArray[np.float32]:
    """(WIDTH,): the smoothed logarithm of the share of rows that have it, as scikit-learn's; 0 where none has."""
    rows = np.bincount(counts.indices, minlength=WIDTH)
    return np.where(rows, np.log((1 + counts.shape[0]) / (1 + rows)) + 1, 0).astype(np.float32)


def weighed(counts: Bag, idf: NDArray[np.float32]) -> Bag:
    """The same times the rarities, each row of length 1; a row that has no known run is of zeros."""
    found = counts * idf.astype(np.float64)
    length = np.sqrt(found.multiply(found).sum(1))
    return sparse.csr_array(sparse.diags_array(1 / np.maximum(length, 1e-12)) @ found)


def solve(train: Bag, cell: Cell) -> Solved:
    """The ridge head, (outputs, WIDTH); columns that no training row has get no weight and take no time."""
    seen = np.unique(train.indices[train.data != 0])
    features = torch.from_numpy(train[:, seen].toarray())
    recipe = cell.recipe
    found = solve_head(
        features,
        cell.train_labels,
        objective=cell.objective,
        smallest=recipe.smallest_penalty,
        largest=recipe.largest_penalty,
    )
    weight = torch.zeros(len(found.weight), WIDTH, dtype=torch.float64)
    weight[:, torch.from_numpy(seen)] = found.weight
    return Solved(weight, found.bias, found.compute)


def scores(rows: Bag, head: Solved) -> torch.Tensor:
    """(rows, outputs) float64."""
    return torch.from_numpy(np.asarray(rows @ head.weight.numpy().T)) + head.bias
