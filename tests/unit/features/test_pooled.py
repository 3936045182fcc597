"""Pooled features are the averages of what the network itself computes, from any boundary on."""

import pytest
import torch
from torch import nn
from torchvision.models import VisionTransformer

from headstart.backbones.network import Network, build, with_channels
from headstart.backbones.vit import vit_blocks
from headstart.features.pooled import pooled


@pytest.fixture(scope="module", params=["resnet8", "shufflenet_v2_x0_5", "swin_t", "tokens"])
def network(request):
    torch.manual_seed(0)
    if request.param == "tokens":
        return tokens()
    return build(request.param, channels=1, classes=3).eval()


def tokens() -> Network:
    """A small Vision Transformer: between its blocks are tokens (rows, positions, channels)."""
    net = VisionTransformer(32, 8, num_layers=2, num_heads=2, hidden_dim=12, mlp_dim=24, num_classes=3)
    net.conv_proj = with_channels(net.conv_proj, 1)
    return vit_blocks(net).eval()


@pytest.fixture(scope="module")
def images():
    return torch.randn(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def averages(network, images) -> list[torch.Tensor]:
    """By hand: each block's output, averaged over its positions, by block."""
    found = []
    activations = images
    for block in network.blocks:
        activations = block(activations)
        found.append(_by_hand(activations))
    return found


def _by_hand(activations) -> torch.Tensor:
    if activations.dim() == 4:
        return torch.stack([maps.flatten(1).mean(1) for maps in activations])
    if activations.dim() == 3:
        return torch.stack([sum(row) / len(row) for row in activations])
    return activations


def test_a_map_and_its_tokens_have_the_same_average():
    maps = torch.randn(2, 5, 3, 4)
    network = Network([("same", nn.Identity()), ("vector", nn.Identity())], nn.Linear(5, 2))
    expected = maps.mean((2, 3)).repeat(1, 2)
    assert torch.allclose(pooled(network, maps, boundary=0, levels=2), expected, atol=1e-6)
    tokens = maps.flatten(2).transpose(1, 2)
    assert torch.allclose(pooled(network, tokens, boundary=0, levels=2), expected, atol=1e-6)


@torch.inference_mode()
def test_they_are_the_last_blocks_averages_the_last_one_first(network, images):
    by_block = averages(network, images)
    for levels in range(1, len(network.blocks) + 1):
        expected = torch.cat(by_block[::-1][:levels], dim=1)
        assert torch.allclose(pooled(network, images, boundary=0, levels=levels), expected, atol=1e-6)


@torch.inference_mode()
def test_one_level_is_what_the_head_takes_in(network, images):
    found = pooled(network, images, boundary=0, levels=1)
    assert found.shape == (3, network.feature_dim)
    assert torch.allclose(network.head(found), network(images), atol=1e-5)


@torch.inference_mode()
def test_from_the_activations_at_any_boundary_they_are_the_same(network, images):
    whole = pooled(network, images, boundary=0, levels=1)
    for boundary in range(1, len(network.blocks)):
        activations = network.run(images, 0, boundary)
        assert torch.allclose(pooled(network, activations, boundary=boundary, levels=1), whole, atol=1e-6)


@torch.inference_mode()
def test_more_levels_than_blocks_are_all_of_them(network, images):
    every = pooled(network, images, boundary=0, levels=len(network.blocks))
    assert torch.equal(pooled(network, images, boundary=0, levels=99), every)
