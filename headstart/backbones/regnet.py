"""The RegNet family of torchvision (X and Y) as ordered blocks: stem, four stages."""

from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from headstart.backbones.network import Network
from headstart.backbones.original import torchvision_net


def regnet(name: str, *, channels: int, classes: int) -> Network:
    with WidthsOnCpu():
        net = torchvision_net(name, channels=channels, classes=classes)
    trunk = net.trunk_output
    blocks = [
        ("stem", net.stem),
        ("block1", trunk.block1),
        ("block2", trunk.block2),
        ("block3", trunk.block3),
        ("block4", nn.Sequential(trunk.block4, net.avgpool, nn.Flatten(1))),
    ]
    return Network(blocks, net.fc, original=net)


class WidthsOnCpu(TorchFunctionMode):
    """torchvision computes a RegNet's widths and depths with tensors and reads them; meta tensors have no values."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.arange or (func is torch.tensor and isinstance(args[0], list)):
            kwargs = {**kwargs, "device": "cpu"}
        return func(*args, **kwargs)
