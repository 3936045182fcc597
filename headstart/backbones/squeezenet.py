"""The SqueezeNet family of torchvision as ordered blocks: the fire modules up to each pooling.

The original scores classes by a 1x1 convolution, a ReLU and an average over positions. Here the average comes first
and the same convolution is the linear head; without the ReLU the two are equal. The ReLU on the scores is left out:
what follows it is not linear in any one vector a row, and probes and class means need that vector.
"""

import torch
from torch import nn

from headstart.backbones.network import Network, Pooled
from headstart.backbones.original import torchvision_net
from headstart.backbones.vgg import up_to_each_pooling


def squeezenet(name: str, *, channels: int, classes: int) -> Network:
    net = torchvision_net(name, channels=channels, classes=classes)
    dropout, convolution = net.classifier[:2]
    *blocks, (last, fires) = up_to_each_pooling(net.features)
    head = nn.Linear(convolution.in_channels, classes)
    with torch.no_grad():
        head.weight.copy_(convolution.weight.flatten(1))
        head.bias.copy_(convolution.bias)
    return Network(
        [*blocks, (last, nn.Sequential(fires, dropout, Pooled()))],
        head,
        original=net,
        renamed={"classifier.1.weight": "head.weight", "classifier.1.bias": "head.bias"},
    )
