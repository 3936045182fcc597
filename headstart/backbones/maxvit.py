"""MaxViT of torchvision as ordered blocks: stem, four blocks, the last one with the classifier's hidden layer.

Its windows fit one image size. The original's head has no bias; ours has one, which is zero at the start.
"""

from torch import nn

from headstart.backbones.network import Network
from headstart.backbones.original import torchvision_net


def maxvit(name: str, *, channels: int, classes: int) -> Network:
    net = torchvision_net(name, channels=channels, classes=classes)
    *hidden, scores = net.classifier
    first, second, third, fourth = net.blocks
    head = nn.Linear(scores.in_features, classes)
    head.weight = scores.weight
    nn.init.zeros_(head.bias)
    blocks = [
        ("stem", net.stem),
        ("block1", first),
        ("block2", second),
        ("block3", third),
        ("block4", nn.Sequential(fourth, *hidden)),
    ]
    return Network(blocks, head, original=net)
