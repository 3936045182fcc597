"""Activations at a block boundary, as the network that is fixed up to there computes them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.backbones.network import Network
from headstart.training.accelerator import Accelerator
from headstart.training.policy import Work
from headstart.training.rows import ALL, InputRows

Run = Callable[[Tensor], NDArray[np.float32]]


@dataclass(frozen=True)
class BoundaryRows:
    """Activations that are computed anew for each batch: where those of all rows are too many to be kept.

    run: from normalised inputs to activations, as `boundary_of` gives it.
    """

    rows: InputRows
    run: Run

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, rows: Tensor, draw: torch.Generator, part: slice = ALL) -> Tensor:
        return torch.from_numpy(self.run(self.rows.batch(rows, draw, part)))

    def plain(self, rows: Tensor) -> Tensor:
        return torch.from_numpy(self.run(self.rows.plain(rows)))


def boundary_of(network: Network, boundary: int, *, accelerator: Accelerator, work: Work) -> Run:
    """The function from a batch of normalised inputs to their activations at a boundary, on the CPU.

    work: of the whole network, on one row.
    """
    network, precision = accelerator.evaluating(network, work, fold=False)

    def run(batch: Tensor) -> NDArray[np.float32]:
        with torch.no_grad(), precision:
            found = network.run(accelerator.place(batch), 0, boundary)
        return found.float().cpu().contiguous().numpy()

    return run
