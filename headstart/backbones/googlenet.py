"""GoogLeNet of torchvision as ordered blocks: stem, then the inception modules up to each pooling.

It is built without its auxiliary heads; torchvision's pretrained weights expect input scaled to [-1, 1]
(headstart/training/matching.py).
"""

from torch import nn

from headstart.backbones.network import Network
from headstart.backbones.original import torchvision_net


def googlenet(name: str, *, channels: int, classes: int) -> Network:
    net = torchvision_net(name, channels=channels, classes=classes, aux_logits=False, init_weights=True)
    fours = (net.inception4a, net.inception4b, net.inception4c, net.inception4d, net.inception4e)
    fives = (net.inception5a, net.inception5b)
    blocks = [
        ("stem", nn.Sequential(net.conv1, net.maxpool1, net.conv2, net.conv3, net.maxpool2)),
        ("inception3", nn.Sequential(net.inception3a, net.inception3b, net.maxpool3)),
        ("inception4", nn.Sequential(*fours, net.maxpool4)),
        ("inception5", nn.Sequential(*fives, net.avgpool, nn.Flatten(1), net.dropout)),
    ]
    return Network(blocks, net.fc, original=net)
