"""Activations at a block boundary, as the network that is fixed up to there computes them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.backbones.network import Network
from headstart.modalities.image import ALL
from headstart.training.accelerator import Accelerator
from headstart.training.policy import Work
from headstart.training.rows import ImageRows

Run = Callable[[Tensor], NDArray[np.float32]]


@dataclass(frozen=True)
class BoundaryRows:
    """Activations that are computed anew for each batch: where those of all rows are too many to be kept.

    run: from normalised images to activations, as `boundary_of` gives it.
    """

    images: ImageRows
    run: Run

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, rows: Tensor, draw: torch.Generator, part: slice = ALL) -> Tensor:
        return torch.from_numpy(self.run(self.images.batch(rows, draw, part)))

    def plain(self, rows: Tensor) -> Tensor:
        return torch.from_numpy(self.run(self.images.plain(rows)))


def boundary_of(network: Network, boundary: int, *, accelerator: Accelerator, work: Work) -> Run:
    """The function from a batch of normalised images to their activations at a boundary, on the CPU.

    work: of the whole network, on one image.
    """
    network, precision = accelerator.evaluating(network, work, fold=False)

    def run(batch: Tensor) -> NDArray[np.float32]:
        with torch.no_grad(), precision:
            found = network.run(accelerator.place(batch), 0, boundary)
        return found.float().cpu().contiguous().numpy()

    return run
