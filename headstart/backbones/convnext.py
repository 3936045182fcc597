"""The ConvNeXt family of torchvision as ordered blocks: stem, four stages, each with the downsampling before it."""

from torch import nn

from headstart.backbones.network import Network
from headstart.backbones.original import torchvision_net


def convnext(name: str, *, channels: int, classes: int) -> Network:
    net = torchvision_net(name, channels=channels, classes=classes)
    body = net.features
    norm, flatten, head = net.classifier
    blocks = [
        ("stem", body[0]),
        ("stage1", body[1]),
        ("stage2", body[2:4]),
        ("stage3", body[4:6]),
        ("stage4", nn.Sequential(*body[6:8], net.avgpool, norm, flatten)),
    ]
    return Network(blocks, head, original=net)
