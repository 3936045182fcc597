"""How far a row lies from the labelled rows that a model was fitted to, and from where on it is out of their domain.

The distance is that to the nearest labelled row (Sun 2022, 2204.06507) among the pooled features,
in Mahalanobis' metric (Lee 2018, 1807.03888) with a covariance shrunk as Ledoit and Wolf (2004) have it: it holds
with fewer rows than features. Cosine distances let noise pass, and the distance to the mean lets letters pass for
digits (docs/howto/predict.md has the figures).

The threshold is split conformal: a quantile of the distances of rows that nothing was fitted to, so that at most RATE
of further rows of the same kind lie beyond it, on average.
"""

import json
import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from headstart.errors import IntegrityError
from headstart.storage.disk import naming_the_disk
from headstart.storage.publish import read_manifest, write_json, write_manifest
from headstart.training.accelerator import Accelerator

RATE = 0.05  # of rows like the labelled ones that may be flagged
MOST_ROWS = 400  # labelled rows that are kept: the time that a distance takes grows with them
MOST_OTHERS = 1000  # rows that the threshold is taken from
TENSORS = "domain.safetensors"
NUMBERS = "domain.json"
_NUMBERS = ("beside", "threshold", "rate", "calibrated_on")


@dataclass(frozen=True)
class Domain:
    """Labelled rows, and the metric that distances to them are measured in.

    A distance of 1 is the threshold. centre: (d,). directions: (r, d), orthonormal, in which the labelled rows differ;
    scales: (r,), of each, and beside: of everything that lies outside of them. rows: (n, r), scaled. threshold:
    what it is before it is made 1. rate: of rows like these that lie beyond it, at most, on average. calibrated_on:
    rows that it was taken from.
    """

    centre: Tensor
    directions: Tensor
    scales: Tensor
    rows: Tensor
    beside: float
    threshold: float
    rate: float
    calibrated_on: int

    @torch.inference_mode()
    def distances(self, vectors: Tensor) -> Tensor:
        """(rows, d) pooled features -> (rows,) distances to the nearest labelled row, 1 at the threshold.

        The square is taken apart, so that one product does it: |z - a|^2 = |z|^2 + |a|^2 - 2 z.a, with z the row and a
        a labelled one along the directions; outside of them it is |v|^2 less what lies along them.
        """
        matrix, offset, weights = self._parts
        found = torch.addmm(offset, vectors, matrix)
        along, nearest = found[:, : len(self.scales)], found[:, len(self.scales) :].amin(1)
        everywhere = (vectors - self.centre).square().sum(1) * self.beside**2
        squares = along.square() @ weights + nearest + everywhere
        return squares.clamp_min(0).sqrt() / self.threshold

    @cached_property
    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """(d, r + n): directions, scaled, and products with rows; (r + n,): what is added; (r,): weights of squares."""
        along = self.directions * self.scales[:, None]
        matrix = torch.cat([along, -2 * (self.rows @ along)])
        beside = torch.cat([torch.zeros_like(self.scales), self.rows.square().sum(1)])
        return matrix.T.contiguous(), beside - matrix @ self.centre, 1 - (self.beside / self.scales) ** 2

    def on(self, accelerator: Accelerator) -> "Domain":
        """The same on a device."""
        return replace(
            self,
            centre=accelerator.place(self.centre),
            directions=accelerator.place(self.directions),
            scales=accelerator.place(self.scales),
            rows=accelerator.place(self.rows),
        )


def fit_domain(labelled: Tensor, others: Tensor, *, rate: float = RATE) -> Domain:
    """The domain of labelled rows' vectors (n, d), with its threshold from rows (m, d) that nothing was fitted to.

    With fewer than 1 / rate - 1 of those no threshold keeps the rate: it is then their largest distance, which keeps
    1 / (m + 1), and the domain says so.

    Raises:
        ValueError: there is not one row of each.
    """
    if not len(labelled) or not len(others):
        raise ValueError(f"a domain needs labelled rows and others; there are {len(labelled)} and {len(others)}")
    kept = labelled.double()
    centre = kept.mean(0)
    _, singular, directions = torch.linalg.svd(kept - centre, full_matrices=False)
    found = singular > singular.max() * 1e-6 if float(singular.max()) else torch.zeros_like(singular, dtype=torch.bool)
    directions, variances = directions[found], singular[found] ** 2 / len(kept)
    share = _shrinkage(kept)
    even = float(variances.sum()) / kept.shape[1] or 1.0  # rows that are all alike: any scale will do
    scales = ((1 - share) * variances + share * even).rsqrt()
    raw = Domain(
        centre=centre.float(),
        directions=directions.float(),
        scales=scales.float(),
        rows=((kept - centre) @ directions.T * scales).float(),
        beside=1 / math.sqrt(max(share, 1e-3) * even),
        threshold=1.0,
        rate=rate,
        calibrated_on=len(others),
    )
    threshold, rate = conformal(raw.distances(others.float()), rate)
    return replace(raw, threshold=max(threshold, 1e-6), rate=rate)


def conformal(distances: Tensor, rate: float) -> tuple[float, float]:
    """The threshold that a further distance of the same kind exceeds with a probability of at most `rate`.

    distances: (m,). The ceil((m + 1)(1 - rate))-th smallest of them (Vovk 2005, "Algorithmic learning in a random
    world"); the largest, and the rate that it keeps, where there is no such one.
    """
    place = math.ceil((len(distances) + 1) * (1 - rate) - 1e-9)
    if place > len(distances):
        return float(distances.max()), 1 / (len(distances) + 1)
    return float(distances.sort().values[place - 1]), rate


def some(rows: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """The rows, or so many of them, evenly spread over their order."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.intp)]


def write_domain(directory: Path, domain: Domain) -> None:
    """Adds a domain to a published folder of weights; without its manifest's last word it is not there.

    Raises:
        StorageError: the disk is full or fails.
    """
    tensors = {name: getattr(domain, name) for name in ("centre", "directions", "scales", "rows")}
    numbers = {name: getattr(domain, name) for name in _NUMBERS}
    with naming_the_disk(directory):
        save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, directory / TENSORS)
        write_json(directory / NUMBERS, numbers | {"labelled": len(domain.rows)})
        write_manifest(directory)


def read_domain(directory: Path) -> Domain | None:
    """The domain of a folder of weights that was verified; None where it has none, as older ones and sources.

    Raises:
        IntegrityError: it is one of another version.
    """
    if not {TENSORS, NUMBERS} <= read_manifest(directory).keys():
        return None
    try:
        numbers = json.loads((directory / NUMBERS).read_text())
        tensors: dict[str, Any] = load_file(directory / TENSORS)
        return Domain(**tensors, **{name: numbers[name] for name in _NUMBERS})
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{directory / NUMBERS} is not a domain that this version reads: {error!r}") from None


def _shrinkage(rows: Tensor) -> float:
    """What of the covariance is replaced by an even one: 1 for a single row."""
    from sklearn.covariance import ledoit_wolf_shrinkage

    return float(ledoit_wolf_shrinkage(rows.numpy())) if len(rows) > 1 else 1.0
