"""The MNASNet family of torchvision as ordered blocks: stem, six stacks of units, the last convolution."""

from torch import nn

from headstart.backbones.network import Network, Pooled
from headstart.backbones.original import torchvision_net

STACKS = range(8, 14)  # places in torchvision's list of layers


def mnasnet(name: str, *, channels: int, classes: int) -> Network:
    net = torchvision_net(name, channels=channels, classes=classes)
    layers = net.layers
    dropout, head = net.classifier
    blocks = [
        ("stem", layers[: STACKS.start]),
        *((f"stack{number}", layers[place]) for number, place in enumerate(STACKS, start=1)),
        ("conv", nn.Sequential(*layers[STACKS.stop :], Pooled(), dropout)),
    ]
    return Network(blocks, head, original=net)
