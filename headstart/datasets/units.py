"""Which rows belong together, and how numbers are spread over both sides of a split."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from headstart.datasets.values import OF_ONE, columns_of

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


def value_table(values: Iterable[Sequence[float] | None], names: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """A column for each value, NaN where a row has none: (rows,); the column of one where there are no names."""
    columns = columns_of(names) or (OF_ONE,)
    unknown = (np.nan,) * len(columns)
    table = np.array([own or unknown for own in values], dtype=np.float64).reshape(-1, len(columns))
    return {own.given: table[:, place].copy() for place, own in enumerate(columns)}


def bins_of(values: NDArray[np.float64]) -> list[str]:
    """A name for each row's bin of its values (rows, values): of one by quantiles, of several jointly."""
    return value_bins(list(values[:, 0])) if values.shape[1] == 1 else joint_bins(values)


def joint_bins(values: NDArray[np.float64]) -> list[str]:
    """Bins of several values (rows, values): halves, and halves of these, at most 8 of at least 10 rows.

    Each is cut at the median of the value that varies most in it, standardised (a k-d tree: Friedman, Bentley and
    Finkel 1977), so that a split that takes its share of each bin has rows from all over the joint range.
    """
    if not len(values):
        return []
    scale = np.sort(values, axis=0).std(axis=0)  # sorted: the same to the last bit in any order of rows
    scaled = values / np.where(scale > 0, scale, 1.0)
    bins = [np.arange(len(values))]
    while 2 * len(bins) <= LARGEST_BINS:
        halves = [half for rows in bins for half in _halved(rows, scaled)]
        if len(halves) == len(bins):
            break
        bins = halves
    names = np.zeros(len(values), dtype=np.intp)
    for number, rows in enumerate(bins):
        names[rows] = number
    return [f"{number:02d}" for number in names]


def _halved(rows: NDArray[np.intp], scaled: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """The rows in two, or as they are where either half would be too small; equal numbers stay together."""
    own = scaled[rows]
    widest = own[:, int(np.sort(own, axis=0).std(axis=0).argmax())]
    above = widest > np.median(widest)
    halves = [rows[~above], rows[above]]
    return halves if min(map(len, halves)) >= ROWS_A_BIN else [rows]


def value_bins(values: Sequence[float]) -> list[str]:
    """A name for each number's quantile bin: at most 10 bins of at least 10 numbers; equal numbers share one.

    A split that takes its share of each bin has test rows over the whole range, as a plain draw of few rows may not.
    """
    count = max(1, min(LARGEST_BINS, len(values) // ROWS_A_BIN))
    edges = np.quantile(np.asarray(values, dtype=float), np.linspace(0, 1, count + 1)[1:-1])
    return [f"{number:02d}" for number in np.searchsorted(edges, values, side="right")]
