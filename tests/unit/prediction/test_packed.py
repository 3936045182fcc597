"""Convolutions packed for prediction: the same scores to rounding; what joins them does so only where it may."""

import pytest
import torch
from torch import nn

from headstart.backbones.folded import folded
from headstart.backbones.network import Network
from headstart.prediction.packed import can_pack, packed
from tests.unit.backbones.seasoned import TOLERANCE, seasoned

pytestmark = pytest.mark.skipif(not can_pack(), reason="oneDNN's operators are for x86")

IMAGE = torch.zeros(1, 3, 64, 64)


def calls(network: Network) -> list[str]:
    """Names of what its blocks call."""
    return [node.name for block in network.blocks for node in block.graph.nodes]


def packed_ones(network: nn.Module) -> int:
    return sum(type(module).__name__ == "_Convolution" for module in network.modules())


@pytest.mark.parametrize(
    "name",
    ["resnet18", "resnet50", "vgg11", "vgg11_bn", "densenet121", "googlenet", "alexnet", "mobilenet_v2",
     "efficientnet_b0", "convnext_tiny", "swin_t", "squeezenet1_1"],
)  # fmt: skip
@pytest.mark.parametrize("rows", [1, 3])
def test_scores_are_the_plain_networks(name, rows):
    network = seasoned(name)
    images = torch.randn(rows, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        plain = network(images)
        found = packed(folded(network).to(memory_format=torch.channels_last), IMAGE)(images)
    assert torch.allclose(found, plain, rtol=0, atol=TOLERANCE * float(plain.abs().max()))


def test_a_residual_network_has_no_passes_for_additions_and_rectifiers_after_what_is_packed():
    plain = folded(seasoned("resnet18"))
    found = packed(plain, IMAGE)
    assert packed_ones(found) == 18  # but for the stem and the first of three 1x1 convolutions
    for name, before, after in (("add", 8, 1), ("relu", 16, 1)):
        assert [sum(name in call for call in calls(network)) for network in (plain, found)] == [before, after]


def test_the_network_given_is_left_as_it_is():
    network = folded(seasoned("resnet18"))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    packed(network, IMAGE)
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_small_convolutions_are_left_alone():
    assert packed_ones(packed(folded(seasoned("resnet8")), IMAGE)) == 1


class Read(nn.Module):
    """One convolution whose result is read in another way than rectified(conv + something known before)."""

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind
        self.conv, self.after, self.norm = nn.Conv2d(3, 512, 5, padding=2), nn.Conv2d(512, 512, 1), nn.BatchNorm2d(512)

    def forward(self, images):
        maps = self.conv(images)
        found = {
            "twice": lambda: torch.relu(maps) + maps,
            "later": lambda: maps + self.after(torch.relu(images.repeat(1, 171, 1, 1)[:, :512])),
            "itself": lambda: torch.relu(maps + maps),
            "scaled": lambda: torch.add(maps, maps.detach(), alpha=2),
            "number": lambda: torch.relu(maps + 1.5),
            "subtracted": lambda: torch.relu(1.5 - maps),
            "shared": lambda: torch.relu(self.conv(images * 2)) + maps,
            "inplace": lambda: nn.functional.relu(maps, inplace=True),
        }[self.kind]()
        return self.norm(found).mean((2, 3))


@pytest.mark.parametrize("kind", ["twice", "later", "itself", "scaled", "number", "subtracted", "shared", "inplace"])
def test_what_may_not_join_a_convolution_does_not(kind):
    torch.manual_seed(0)
    network = Network([("stem", Read(kind))], nn.Linear(512, 5)).eval()
    images = torch.randn(2, 3, 16, 16)
    with torch.inference_mode():
        plain = network(images)
        found = packed(folded(network), images[:1])(images)
    assert torch.allclose(found, plain, rtol=0, atol=TOLERANCE * float(plain.abs().max()))


def test_convolutions_that_pad_otherwise_stay_as_they_are():
    torch.manual_seed(0)
    block = nn.Sequential(
        nn.Conv2d(3, 512, 5, padding="same"), nn.Conv2d(512, 64, 3, padding=1, padding_mode="reflect"),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip
    network = Network([("stem", block)], nn.Linear(64, 5)).eval()
    images = torch.randn(2, 3, 16, 16)
    with torch.inference_mode():
        assert torch.allclose(packed(network, images[:1])(images), network(images), atol=1e-5)
