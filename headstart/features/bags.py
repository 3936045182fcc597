"""Texts as bags of runs of tokens, weighed by how rare they are, and a linear head on them (tfidf).

Of bytes, runs are two to five within a word, A to Z in small letters, with a space at both ends of the text, much as
scikit-learn's analyzer "char_wb" has it; of a tokenizer's pieces, one or two. A weight is (1 + ln n) times
ln((1 + rows) / (1 + rows with it)) + 1, and a row's have length 1 (Manning 2008, ch. 6; sklearn's TfidfTransformer).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.modalities.settings import BYTES

KIND = "tfidf"  # of a card, and the prefix of its tensors
COLUMNS = 1 << 18  # a run goes to the one that its hash says
BLOCK = 1 << 20  # tokens that are looked at at a time
SPACE = ord(" ") + 1  # a byte's token is the byte plus 1
UPPER = (ord("A") + 1, ord("Z") + 1)
BREAKS = np.array([byte < 128 and not chr(byte).isalnum() for byte in range(256)])  # bytes that end a word
MIXER = np.uint32(0x9E3779B1)

Bag = Any  # scipy's csr_array, which has no types


@dataclass(frozen=True)
class Runs:
    """How texts fall into runs. fewest, longest: tokens of one. of_bytes: within words, and small letters."""

    fewest: int
    longest: int
    of_bytes: bool


OF_BYTES = Runs(2, 5, of_bytes=True)
OF_PIECES = Runs(1, 2, of_bytes=False)


def runs_of(preparation: Mapping[str, Any]) -> Runs:
    """Those of texts that were decoded like that: `preparation` of a card."""
    return OF_BYTES if preparation["text"]["tokens"] == BYTES else OF_PIECES


def bag(rows: NDArray[np.integer[Any]], runs: Runs) -> Bag:
    """(rows, COLUMNS) sparse float64: 1 + ln of how often each run occurs. rows: (rows, length) tokens, 0 padding."""
    from scipy import sparse

    return sparse.vstack([_counted(part, runs) for part in _blocks(rows)], format="csr")


def _blocks(rows: NDArray[np.integer[Any]]) -> list[NDArray[np.integer[Any]]]:
    """The rows in parts that take little memory; one of none where there are none."""
    return np.array_split(rows, max(1, -(-rows.size // BLOCK)))


def _counted(rows: NDArray[np.integer[Any]], runs: Runs) -> Bag:
    from scipy import sparse

    cells = np.concatenate([*_cells(rows.astype(np.int64), runs), np.zeros(0, np.int64)])
    cells, times = np.unique(cells, return_counts=True)
    places, columns = np.divmod(cells, COLUMNS)
    ends = np.searchsorted(places, np.arange(len(rows) + 1))
    return sparse.csr_array((1 + np.log(times), columns, ends), shape=(len(rows), COLUMNS))


def _cells(rows: NDArray[np.int64], runs: Runs) -> Iterator[NDArray[np.int64]]:
    """Row times COLUMNS plus column of each run, as often as it occurs."""
    from sklearn.utils import murmurhash3_32

    tokens = _as_words(rows) if runs.of_bytes else rows
    breaks = np.cumsum(BREAKS[np.maximum(tokens - 1, 0)], axis=1) if runs.of_bytes else np.zeros_like(tokens)
    places = np.arange(len(tokens))[:, None] * COLUMNS
    key = np.zeros(tokens.shape, np.uint32)
    for size in range(1, min(runs.longest, tokens.shape[1]) + 1):
        ends = tokens[:, size - 1 :]
        mixed = (key[:, : ends.shape[1]] * MIXER) ^ ends.astype(np.uint32)
        key = murmurhash3_32(mixed.view(np.int32).ravel(), positive=True).reshape(mixed.shape)
        inside = breaks[:, max(0, size - 2) :][:, : ends.shape[1]] - breaks[:, : ends.shape[1]]  # its ends left out
        whole = (ends != 0) & ((inside == 0) | (size < 3))
        if size >= runs.fewest:
            yield (places + key.astype(np.int64) % COLUMNS)[whole]


def _as_words(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """(rows, length + 2): bytes in small letters, a space before the first and behind the last."""
    upper = (rows >= UPPER[0]) & (rows <= UPPER[1])
    small = np.pad(np.where(upper, rows + 32, rows), ((0, 0), (1, 1)))
    small[:, 0] = SPACE
    small[np.arange(len(rows)), (rows != 0).sum(1) + 1] = SPACE
    return small


def rarity(counts: Bag) -> NDArray[np.float64]:
    """(columns,): the smoothed logarithm of the share of rows that have each."""
    from sklearn.feature_extraction.text import TfidfTransformer

    idf: NDArray[np.float64] = TfidfTransformer().fit(counts).idf_
    return idf


def weighed(counts: Bag, idf: NDArray[Any]) -> Bag:
    """The same times the rarities, each row of length 1; a row without a known run is of zeros."""
    from scipy import sparse
    from sklearn.preprocessing import normalize

    found = sparse.csr_array(counts * idf.astype(np.float64))
    return normalize(found) if found.shape[0] else found


@dataclass(frozen=True)
class LinearBag:
    """A linear head on the weighed bag.

    columns: (d,) int64, those that a training row had, in order; idf: (d,); weight: (outputs, d); bias: (outputs,).
    """

    runs: Runs
    columns: Tensor
    idf: Tensor
    weight: Tensor
    bias: Tensor

    def scores(self, rows: NDArray[np.integer[Any]]) -> Tensor:
        """(rows, length) tokens -> (rows, outputs) float64."""
        columns, idf, weight = self.columns.numpy(), self.idf.numpy(), self.weight.double().numpy().T
        bags = (weighed(bag(part, self.runs)[:, columns], idf) for part in _blocks(rows))
        return torch.cat([torch.from_numpy(found @ weight) for found in bags]) + self.bias.double()

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What is delivered, by name."""
        return {f"{KIND}.{name}": getattr(self, name) for name in ("columns", "idf", "weight", "bias")}

    @staticmethod
    def read(tensors: Mapping[str, Tensor], runs: Runs, *, outputs: int) -> "LinearBag":
        """Of what was delivered.

        Raises:
            ValueError: the tensors do not fit together.
            KeyError: one is missing.
        """
        columns, idf, weight, bias = (tensors[f"{KIND}.{name}"].cpu() for name in ("columns", "idf", "weight", "bias"))
        shapes = tuple(idf.shape), tuple(weight.shape), tuple(bias.shape)
        width = len(columns)
        if columns.dtype != torch.int64 or shapes != ((width,), (outputs, width), (outputs,)):
            raise ValueError(f"tensors of {width} columns and {outputs} outputs have the shapes {shapes}")
        if width and not 0 <= int(columns.min()) <= int(columns.max()) < COLUMNS:
            raise ValueError(f"columns are not all below {COLUMNS}")
        return LinearBag(runs, columns, idf, weight, bias)
