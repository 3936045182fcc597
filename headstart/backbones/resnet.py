"""The ResNet family of torchvision (ResNeXt and Wide ResNet too) as ordered blocks: stem, four stages."""

from torch import nn

from headstart.backbones.network import Network
from headstart.backbones.original import torchvision_net


def resnet(name: str, *, channels: int, classes: int) -> Network:
    net = torchvision_net(name, channels=channels, classes=classes)
    blocks = [
        ("stem", nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)),
        ("layer1", net.layer1),
        ("layer2", net.layer2),
        ("layer3", net.layer3),
        ("layer4", nn.Sequential(net.layer4, net.avgpool, nn.Flatten(1))),
    ]
    return Network(blocks, net.fc, original=net)
