"""The ShuffleNetV2 family of torchvision as ordered blocks: stem, three stages, the last convolution."""

from functools import partial
from typing import Any

from torch import nn
from torchvision import models

from headstart.backbones.network import Network, Pooled, with_channels


def _shufflenet(name: str, *, channels: int, classes: int) -> Network:
    net: Any = getattr(models, name)(weights=None, num_classes=classes)
    net.conv1[0] = with_channels(net.conv1[0], channels)
    return Network(
        [
            ("stem", nn.Sequential(net.conv1, net.maxpool)),
            ("stage2", net.stage2),
            ("stage3", net.stage3),
            ("stage4", net.stage4),
            ("conv5", nn.Sequential(net.conv5, Pooled())),
        ],
        net.fc,
    )


shufflenet_v2_x0_5 = partial(_shufflenet, "shufflenet_v2_x0_5")
shufflenet_v2_x1_0 = partial(_shufflenet, "shufflenet_v2_x1_0")
shufflenet_v2_x1_5 = partial(_shufflenet, "shufflenet_v2_x1_5")
shufflenet_v2_x2_0 = partial(_shufflenet, "shufflenet_v2_x2_0")
