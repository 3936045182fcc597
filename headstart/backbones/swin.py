"""Swin Transformers of torchvision (v1 and v2) as ordered blocks: stem, four stages, each with the merging before it.

Inside, torchvision's maps are (batch, height, width, channels); at the boundaries they are as everywhere else.
"""

from torch import nn
from torchvision.ops import Permute

from headstart.backbones.network import Network
from headstart.backbones.original import torchvision_net

CHANNELS_FIRST = [0, 3, 1, 2]
CHANNELS_LAST = [0, 2, 3, 1]


def swin(name: str, *, channels: int, classes: int) -> Network:
    net = torchvision_net(name, channels=channels, classes=classes)
    body = net.features
    end = (net.norm, net.permute, net.avgpool, net.flatten)
    blocks = [
        ("stem", nn.Sequential(body[0], Permute(CHANNELS_FIRST))),
        ("stage1", nn.Sequential(Permute(CHANNELS_LAST), body[1], Permute(CHANNELS_FIRST))),
        ("stage2", nn.Sequential(Permute(CHANNELS_LAST), *body[2:4], Permute(CHANNELS_FIRST))),
        ("stage3", nn.Sequential(Permute(CHANNELS_LAST), *body[4:6], Permute(CHANNELS_FIRST))),
        ("stage4", nn.Sequential(Permute(CHANNELS_LAST), *body[6:8], *end)),
    ]
    return Network(blocks, net.head, original=net)
