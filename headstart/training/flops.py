"""Arithmetic of a network, counted once on meta tensors: the unit in which compute is compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from headstart.backbones.network import blank, build
from headstart.training.policy import Work

BACKWARD = 2  # the backward pass of a trained layer costs twice its forward pass


def block_flops(backbone: str, *, channels: int, size: tuple[int, ...], classes: int) -> tuple[float, ...]:
    """Forward FLOPs of one row, block by block; the head's are in the last."""
    outline = _outline(backbone, channels=channels, size=size)
    return (*outline.blocks[:-1], outline.blocks[-1] + 2.0 * outline.feature_dim * classes)


def work_of(backbone: str, *, channels: int, size: tuple[int, ...]) -> Work:
    """What a network asks for on one row, with a head of one output."""
    outline = _outline(backbone, channels=channels, size=size)
    blocks = block_flops(backbone, channels=channels, size=size, classes=1)
    return Work(flops=sum(blocks), weights=outline.weights, grouped=outline.grouped)


@dataclass(frozen=True)
class _Outline:
    """A network without values. blocks: FLOPs of each. weights: with a head of one output."""

    blocks: tuple[float, ...]
    feature_dim: int
    weights: int
    grouped: bool


@cache
def _outline(backbone: str, *, channels: int, size: tuple[int, ...]) -> _Outline:
    with torch.device("meta"):
        network = build(backbone, channels=channels, classes=1).eval()
        activations = blank(backbone, channels=channels, size=size)
        counts = []
        for number in range(len(network.blocks)):
            with FlopCounterMode(display=False) as counter:
                activations = network.run(activations, number, number + 1)
            counts.append(float(counter.get_total_flops()))
    return _Outline(
        blocks=tuple(counts),
        feature_dim=network.feature_dim,
        weights=sum(parameter.numel() for parameter in network.parameters()),
        grouped=any(isinstance(part, nn.Conv2d) and part.groups > 1 for part in network.modules()),
    )


def training_flops(blocks: Sequence[float], *, examples: int, boundary: int = 0) -> float:
    """FLOPs of training the blocks from a boundary on with so many examples (rows times steps)."""
    return examples * sum(blocks[boundary:]) * (1 + BACKWARD)


def forward_flops(blocks: Sequence[float], *, examples: int, stop: int | None = None) -> float:
    """FLOPs of running the blocks before a boundary (all of them by default) forward."""
    return examples * sum(blocks[:stop])
