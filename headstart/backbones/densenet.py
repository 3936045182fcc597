"""The DenseNet family of torchvision as ordered blocks: stem, four dense blocks, each with the transition after it."""

from torch import nn

from headstart.backbones.network import Network
from headstart.backbones.original import torchvision_net


def densenet(name: str, *, channels: int, classes: int) -> Network:
    net = torchvision_net(name, channels=channels, classes=classes)
    body = net.features
    last = (body.denseblock4, body.norm5, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
    blocks = [
        ("stem", nn.Sequential(body.conv0, body.norm0, body.relu0, body.pool0)),
        ("dense1", nn.Sequential(body.denseblock1, body.transition1)),
        ("dense2", nn.Sequential(body.denseblock2, body.transition2)),
        ("dense3", nn.Sequential(body.denseblock3, body.transition3)),
        ("dense4", nn.Sequential(*last)),
    ]
    return Network(blocks, net.classifier, original=net)
