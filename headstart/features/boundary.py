"""Activations at a block boundary, as the network that is fixed up to there computes them."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.backbones.network import Network
from headstart.training.accelerator import Accelerator
from headstart.training.policy import Work


def boundary_of(
    network: Network, boundary: int, *, accelerator: Accelerator, work: Work
) -> Callable[[Tensor], NDArray[np.float32]]:
    """The function from a batch of normalised images to their activations at a boundary, on the CPU.

    work: of the whole network, on one image.
    """
    network, precision = accelerator.evaluating(network, work, fold=False)

    def run(batch: Tensor) -> NDArray[np.float32]:
        with torch.no_grad(), precision:
            found = network.run(accelerator.place(batch), 0, boundary)
        return found.float().cpu().contiguous().numpy()

    return run
