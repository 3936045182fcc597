"""Inception v3 of torchvision as ordered blocks: the convolutions up to each pooling, then the mixed modules by size.

It is built without its auxiliary head; torchvision's pretrained weights expect input scaled to [-1, 1]
(headstart/training/matching.py).
"""

from torch import nn

from headstart.backbones.network import Network
from headstart.backbones.original import torchvision_net


def inception(name: str, *, channels: int, classes: int) -> Network:
    net = torchvision_net(name, channels=channels, classes=classes, aux_logits=False, init_weights=True)
    sixes = (net.Mixed_6a, net.Mixed_6b, net.Mixed_6c, net.Mixed_6d, net.Mixed_6e)
    sevens = (net.Mixed_7a, net.Mixed_7b, net.Mixed_7c)
    blocks = [
        ("stem", nn.Sequential(net.Conv2d_1a_3x3, net.Conv2d_2a_3x3, net.Conv2d_2b_3x3, net.maxpool1)),
        ("conv4", nn.Sequential(net.Conv2d_3b_1x1, net.Conv2d_4a_3x3, net.maxpool2)),
        ("mixed5", nn.Sequential(net.Mixed_5b, net.Mixed_5c, net.Mixed_5d)),
        ("mixed6", nn.Sequential(*sixes)),
        ("mixed7", nn.Sequential(*sevens, net.avgpool, net.dropout, nn.Flatten(1))),
    ]
    return Network(blocks, net.fc, original=net)
