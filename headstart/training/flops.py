"""Arithmetic of a network, counted once on meta tensors: the unit in which compute is compared."""

from collections.abc import Sequence
from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from headstart.backbones.network import build

BACKWARD = 2  # the backward pass of a trained layer costs twice its forward pass


@cache
def block_flops(backbone: str, *, channels: int, image_size: int, classes: int) -> tuple[float, ...]:
    """Forward FLOPs of one image, block by block; the head's are in the last."""
    with torch.device("meta"):
        network = build(backbone, channels=channels, classes=classes).eval()
        activations = torch.empty(1, channels, image_size, image_size)
        counts = []
        for number in range(len(network.blocks)):
            with FlopCounterMode(display=False) as counter:
                activations = network.run(activations, number, number + 1)
            counts.append(float(counter.get_total_flops()))
    counts[-1] += 2.0 * network.feature_dim * classes
    return tuple(counts)


def training_flops(blocks: Sequence[float], *, examples: int, boundary: int = 0) -> float:
    """FLOPs of training the blocks from a boundary on with so many examples (rows times steps)."""
    return examples * sum(blocks[boundary:]) * (1 + BACKWARD)


def forward_flops(blocks: Sequence[float], *, examples: int, stop: int | None = None) -> float:
    """FLOPs of running the blocks before a boundary (all of them by default) forward."""
    return examples * sum(blocks[:stop])
