"""Folding BatchNorm into convolutions: the same scores to rounding, and the network given stays as it is."""

import pytest
import torch
from torch import nn

from headstart.backbones.folded import folded
from tests.unit.backbones.seasoned import TOLERANCE, seasoned


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize(
    ("name", "left"),
    [("resnet8", 0), ("resnet18", 0), ("mobilenet_v3_small", 0), ("shufflenet_v2_x0_5", 0), ("vgg11_bn", 0),
     ("densenet121", None), ("efficientnet_b0", 0), ("regnet_y_400mf", 0), ("convnext_tiny", 0)],
)  # fmt: skip
def test_each_boundary_is_the_plain_networks(name, left):
    network = seasoned(name)
    images = torch.randn(3, 3, 64, 64)
    with torch.inference_mode():
        plain = activations = images
        other = folded(network)
        for number in range(len(network.blocks)):
            plain, activations = (
                each.run(own, number, number + 1) for each, own in ((network, plain), (other, activations))
            )
            assert torch.allclose(activations, plain, rtol=0, atol=TOLERANCE * float(plain.abs().max()))
        assert torch.allclose(other.head(activations), network.head(plain), atol=TOLERANCE * float(plain.abs().max()))
    if left is not None:
        assert norms(other) == left


def test_the_network_given_keeps_its_norms_and_its_weights():
    network = seasoned("resnet8")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    folded(network)
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_block_that_cannot_be_traced_is_taken_as_it_is():
    class Untraceable(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))

        def forward(self, maps):
            return self.inner(maps) if float(maps.sum()) > 0 else self.inner(-maps)

    network = seasoned("resnet8")
    network.blocks[0] = block = Untraceable().eval()
    assert folded(network).blocks[0] is block
