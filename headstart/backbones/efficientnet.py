"""EfficientNet V1 and V2 of torchvision as ordered blocks: stem, the stages, the last convolution."""

from torch import nn

from headstart.backbones.network import Network
from headstart.backbones.original import torchvision_net


def efficientnet(name: str, *, channels: int, classes: int) -> Network:
    net = torchvision_net(name, channels=channels, classes=classes)
    stem, *stages, last = net.features
    dropout, head = net.classifier
    blocks = [
        ("stem", stem),
        *((f"stage{number}", stage) for number, stage in enumerate(stages, start=1)),
        ("conv", nn.Sequential(last, net.avgpool, nn.Flatten(1), dropout)),
    ]
    return Network(blocks, head, original=net)
