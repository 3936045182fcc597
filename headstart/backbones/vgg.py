"""The VGG family of torchvision as ordered blocks: the convolutions up to each pooling, then the two hidden layers."""

from functools import partial
from typing import Any

from torch import nn
from torchvision import models

from headstart.backbones.network import Network, with_channels


def _vgg(name: str, *, channels: int, classes: int) -> Network:
    net: Any = getattr(models, name)(weights=None, num_classes=classes)
    net.features[0] = with_channels(net.features[0], channels)
    stages: list[list[nn.Module]] = [[]]
    for layer in net.features:
        stages[-1].append(layer)
        if isinstance(layer, nn.MaxPool2d):
            stages.append([])
    blocks = [(f"stage{number}", nn.Sequential(*layers)) for number, layers in enumerate(stages[:-1], start=1)]
    first, second = net.classifier[:3], net.classifier[3:6]
    blocks += [
        ("hidden1", nn.Sequential(net.avgpool, nn.Flatten(1), *first)),
        ("hidden2", nn.Sequential(*second)),
    ]
    return Network(blocks, net.classifier[6])


vgg11 = partial(_vgg, "vgg11")
vgg11_bn = partial(_vgg, "vgg11_bn")
vgg13 = partial(_vgg, "vgg13")
vgg13_bn = partial(_vgg, "vgg13_bn")
vgg16 = partial(_vgg, "vgg16")
vgg16_bn = partial(_vgg, "vgg16_bn")
vgg19 = partial(_vgg, "vgg19")
vgg19_bn = partial(_vgg, "vgg19_bn")
