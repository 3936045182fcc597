"""The ShuffleNetV2 family of torchvision as ordered blocks: stem, three stages, the last convolution."""

from torch import nn

from headstart.backbones.network import Network, Pooled
from headstart.backbones.original import torchvision_net


def shufflenet(name: str, *, channels: int, classes: int) -> Network:
    net = torchvision_net(name, channels=channels, classes=classes)
    blocks = [
        ("stem", nn.Sequential(net.conv1, net.maxpool)),
        ("stage2", net.stage2),
        ("stage3", net.stage3),
        ("stage4", net.stage4),
        ("conv5", nn.Sequential(net.conv5, Pooled())),
    ]
    return Network(blocks, net.fc, original=net)
