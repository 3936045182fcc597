"""torchvision's own networks, from which the families take their blocks."""

from typing import Any

from torch import nn
from torchvision import models

from headstart.backbones.network import with_channels


def torchvision_net(name: str, *, channels: int, classes: int, **options: Any) -> Any:
    """torchvision's network of that name with fresh weights; its first convolution takes `channels`."""
    net = getattr(models, name)(weights=None, num_classes=classes, **options)
    path, first = first_convolution(net)
    parent, _, attribute = path.rpartition(".")
    setattr(net.get_submodule(parent), attribute, with_channels(first, channels))
    return net


def first_convolution(net: nn.Module) -> tuple[str, nn.Conv2d]:
    """Path and module of the convolution that sees the image: libraries define it first."""
    return next((path, module) for path, module in net.named_modules() if isinstance(module, nn.Conv2d))
