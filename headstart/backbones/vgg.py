"""AlexNet and VGG of torchvision as ordered blocks: the convolutions up to each pooling, then the hidden layers."""

from collections.abc import Iterable

from torch import nn

from headstart.backbones.network import Network
from headstart.backbones.original import torchvision_net


def vgg(name: str, *, channels: int, classes: int) -> Network:
    net = torchvision_net(name, channels=channels, classes=classes)
    blocks = [
        *up_to_each_pooling(net.features),
        ("hidden1", nn.Sequential(net.avgpool, nn.Flatten(1), *net.classifier[:3])),
        ("hidden2", net.classifier[3:6]),
    ]
    return Network(blocks, net.classifier[6], original=net)


def up_to_each_pooling(layers: Iterable[nn.Module]) -> list[tuple[str, nn.Module]]:
    """Layers cut after each maximum pooling; those after the last one are a stage as well."""
    stages: list[list[nn.Module]] = [[]]
    for layer in layers:
        stages[-1].append(layer)
        if isinstance(layer, nn.MaxPool2d):
            stages.append([])
    return [(f"stage{number}", nn.Sequential(*stage)) for number, stage in enumerate(stages, start=1) if stage]
