"""Which rows belong together, and how numbers are spread over both sides of a split."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

LARGEST_BINS = 10
ROWS_A_BIN = 10


def join_units(contents: Sequence[str], *groupings: Sequence[str | None]) -> list[str]:
    """The unit of each row: rows of one content or one group are in one unit, and so on along the chain.

    contents: digests. groupings: such as the user's groups; None for a row that belongs to none.
    A unit is named by the smallest digest in it, so that its name follows from the pictures and tells no class.
    """
    if not contents:
        return []
    rows = np.arange(len(contents))
    starts, ends, size = [], [], len(rows)
    for grouping in (contents, *groupings):
        key, names = pd.factorize(np.array(grouping, dtype=object))  # -1 where there is none
        grouped = key >= 0
        starts.append(rows[grouped])
        ends.append(key[grouped] + size)
        size += len(names)
    edges = (np.concatenate(starts), np.concatenate(ends))
    _, part = connected_components(coo_array((np.ones(len(edges[0])), edges), shape=(size, size)), directed=False)
    smallest: dict[int, str] = {}
    for number, name in zip(part, contents, strict=False):  # parts go on with the keys
        smallest[number] = min(smallest.get(number, name), name)
    return [smallest[number] for number in part[: len(rows)]]


def value_bins(values: Sequence[float]) -> list[str]:
    """A name for each number's quantile bin: at most 10 bins of at least 10 numbers; equal numbers share one.

    A split that takes its share of each bin has test rows over the whole range, as a plain draw of few rows may not.
    """
    count = max(1, min(LARGEST_BINS, len(values) // ROWS_A_BIN))
    edges = np.quantile(np.asarray(values, dtype=float), np.linspace(0, 1, count + 1)[1:-1])
    return [f"{number:02d}" for number in np.searchsorted(edges, values, side="right")]
