"""Narrow ResNets for small images: three stages of 16, 32 and 64 channels (He et al. 2015, 1512.03385, section 4.2).

Their units are torchvision's. The stem halves the image, as that of torchvision's ResNets does; with it a 28-pixel
step takes a third of the time, and a network from scratch gets as far (docs/decisions/002-default-backbone.md).
"""

from torch import nn
from torchvision.models.resnet import BasicBlock

from headstart.backbones.network import Network, Pooled

WIDTHS = (16, 32, 64)
UNITS = {"resnet8": 1, "resnet14": 2, "resnet20": 3}  # in each stage


def small_resnet(name: str, *, channels: int, classes: int) -> Network:
    stem = nn.Sequential(
        nn.Conv2d(channels, WIDTHS[0], 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(WIDTHS[0]),
        nn.ReLU(inplace=True),
    )
    stages = [
        _stage(before, width, UNITS[name], stride=1 if number == 0 else 2)
        for number, (before, width) in enumerate(zip((WIDTHS[0], *WIDTHS), WIDTHS, strict=False))
    ]
    blocks = [("stem", stem), ("stage1", stages[0]), ("stage2", stages[1])]
    network = Network([*blocks, ("stage3", nn.Sequential(stages[2], Pooled()))], nn.Linear(WIDTHS[-1], classes))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def _stage(before: int, width: int, units: int, *, stride: int) -> nn.Sequential:
    shortcut = None
    if stride != 1 or before != width:
        shortcut = nn.Sequential(nn.Conv2d(before, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width))
    first = BasicBlock(before, width, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(width, width) for _ in range(units - 1)))
