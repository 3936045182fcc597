"""MobileNetV2 and V3 of torchvision as ordered blocks: the units by resolution; V3's hidden layer is a block."""

from collections.abc import Iterable

from torch import nn

from headstart.backbones.network import Network
from headstart.backbones.original import torchvision_net


def mobilenet_v2(name: str, *, channels: int, classes: int) -> Network:
    net = torchvision_net(name, channels=channels, classes=classes)
    *stages, (name, last) = by_resolution(net.features)
    dropout, head = net.classifier
    blocks = [*stages, (name, nn.Sequential(last, nn.AdaptiveAvgPool2d(1), nn.Flatten(1), dropout))]
    return Network(blocks, head, original=net)


def mobilenet_v3(name: str, *, channels: int, classes: int) -> Network:
    net = torchvision_net(name, channels=channels, classes=classes)
    hidden = nn.Sequential(net.avgpool, nn.Flatten(1), *net.classifier[:3])
    return Network([*by_resolution(net.features), ("hidden", hidden)], net.classifier[3], original=net)


def by_resolution(units: Iterable[nn.Module]) -> list[tuple[str, nn.Module]]:
    """Units cut before each one that halves the map."""
    stages: list[list[nn.Module]] = []
    for unit in units:
        if any(isinstance(module, nn.Conv2d) and module.stride == (2, 2) for module in unit.modules()):
            stages.append([])
        stages[-1].append(unit)
    return [(f"stage{number}", nn.Sequential(*stage)) for number, stage in enumerate(stages, start=1)]
