"""The ResNet family of torchvision as ordered blocks: stem, four stages."""

from functools import partial
from typing import Any

from torch import nn
from torchvision import models

from headstart.backbones.network import Network, with_channels


def _resnet(name: str, *, channels: int, classes: int) -> Network:
    net: Any = getattr(models, name)(weights=None, num_classes=classes)
    net.conv1 = with_channels(net.conv1, channels)
    return Network(
        [
            ("stem", nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)),
            ("layer1", net.layer1),
            ("layer2", net.layer2),
            ("layer3", net.layer3),
            ("layer4", nn.Sequential(net.layer4, net.avgpool, nn.Flatten(1))),
        ],
        net.fc,
    )


resnet18 = partial(_resnet, "resnet18")
resnet34 = partial(_resnet, "resnet34")
resnet50 = partial(_resnet, "resnet50")
resnet101 = partial(_resnet, "resnet101")
resnet152 = partial(_resnet, "resnet152")
resnext50_32x4d = partial(_resnet, "resnext50_32x4d")
resnext101_32x8d = partial(_resnet, "resnext101_32x8d")
resnext101_64x4d = partial(_resnet, "resnext101_64x4d")
wide_resnet50_2 = partial(_resnet, "wide_resnet50_2")
wide_resnet101_2 = partial(_resnet, "wide_resnet101_2")
