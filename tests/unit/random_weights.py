"""Weights as after a training, drawn quickly: fresh normalisation layers would hide a swap."""

import pytest
import torch
from torch import nn

STARTS = ("kaiming_normal_", "kaiming_uniform_", "normal_", "uniform_", "trunc_normal_", "xavier_uniform_")


def without_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are made with whatever memory holds: VGG's own start takes seconds."""
    for name in STARTS:
        monkeypatch.setattr(nn.init, name, lambda tensor, *args, **options: tensor)


@torch.no_grad()
def fill(network: nn.Module, seed: int = 0) -> None:
    """Draws all parameters and running statistics; what is computed from the architecture stays."""
    draw = torch.Generator().manual_seed(seed)
    noise = torch.randn(1_000_003, generator=draw)
    for name, tensor in network.named_parameters():
        if tensor.dim() > 1:
            scale = (2 / tensor[0].numel()) ** 0.5
            for part in tensor.view(-1).split(len(noise)):
                torch.mul(noise[: len(part)], scale, out=part)
        else:
            tensor.uniform_(*((0.5, 2) if name.endswith("weight") else (-0.2, 0.2)), generator=draw)
    for name, buffer in network.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2, generator=draw)
        elif name.endswith("running_mean"):
            buffer.uniform_(-0.2, 0.2, generator=draw)
        elif name.endswith("num_batches_tracked"):
            buffer.fill_(3)
