"""A library's own weights go where they belong: the same outputs, whatever the heads and the number of channels."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_weights import fill, without_start
from torch import Tensor, nn
from torchvision import models

from headstart.backbones.network import build
from headstart.backbones.table import BACKBONES
from headstart.datasets.published import torchvision_normalisation
from headstart.training.matching import adapt_input, load_matching

AUXILIARY = ["googlenet", "inception_v3"]
SIDE = {"googlenet": 32, "inception_v3": 80, "maxvit_t": 224}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    without_start(monkeypatch)


def torchvisions(name: str, **options) -> nn.Module:
    if name in AUXILIARY:
        options = {"init_weights": False} | options
    net = getattr(models, name)(weights=None, num_classes=9, **options)
    fill(net, seed=3)
    return net.eval()


def images(name: str, channels: int = 3) -> Tensor:
    side = SIDE.get(name, BACKBONES.get(name).smallest)
    return torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "mobilenet_v3_small", "swin_t", "googlenet", "maxvit_t"])
@torch.inference_mode()
def test_with_torchvisions_state_dict_it_gives_torchvisions_outputs(name):
    theirs = torchvisions(name)
    network = build(name, channels=3, classes=9).eval()
    load_matching(network, theirs.state_dict(), where="test", backbone="test")
    assert torch.allclose(network(images(name)), theirs(images(name)), rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_squeezenets_class_convolution_becomes_its_head():
    theirs = torchvisions("squeezenet1_1")
    theirs.classifier[2] = nn.Identity()  # the ReLU on the scores
    network = build("squeezenet1_1", channels=3, classes=9).eval()
    load_matching(network, theirs.state_dict(), where="test", backbone="test")
    assert torch.allclose(network(images("squeezenet1_1")), theirs(images("squeezenet1_1")), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", AUXILIARY)
@torch.inference_mode()
def test_auxiliary_heads_and_the_rescaling_of_the_input_are_left_out(name):
    """torchvision's pretrained ones have both; ours want the image in [-1, 1] instead."""
    theirs = torchvisions(name, aux_logits=True, transform_input=True)
    assert any(key.startswith(("aux", "Aux")) for key in theirs.state_dict())
    network = build(name, channels=3, classes=9).eval()
    load_matching(network, theirs.state_dict(), where="test", backbone="test")
    weights = models.get_model_weights(name).DEFAULT
    mean, std = torchvision_normalisation(name, weights)
    pixels = torch.rand(2, 3, SIDE[name], SIDE[name])
    usual = weights.transforms()
    expected = theirs((pixels - _wide(usual.mean)) / _wide(usual.std))
    assert torch.allclose(network((pixels - _wide(mean)) / _wide(std)), expected, rtol=1e-4, atol=1e-4)


def test_other_networks_want_the_normalisation_of_their_weights():
    mean, std = torchvision_normalisation("resnet18", models.ResNet18_Weights.IMAGENET1K_V1)
    assert mean == (0.485, 0.456, 0.406)
    assert std == (0.229, 0.224, 0.225)


def test_keys_by_name():
    keys = build("resnet18", channels=3, classes=9).original_keys
    assert keys["conv1.weight"] == "blocks.0.0.weight"
    assert keys["layer1.0.conv1.weight"] == "blocks.1.0.conv1.weight"
    assert keys["layer4.1.bn2.running_var"] == "blocks.4.0.1.bn2.running_var"
    assert keys["fc.bias"] == "head.bias"


def test_a_network_of_our_own_has_no_original():
    assert build("resnet8", channels=3, classes=9).original_keys == {}


def test_a_head_for_other_classes_stays_as_it_is():
    network = build("resnet18", channels=3, classes=4)
    fill(network)  # whatever memory held may be NaN, which is not even equal to itself
    before = network.head.weight.clone()
    state = torchvisions("resnet18").state_dict()
    load_matching(network, state, where="test", backbone="test")
    assert torch.equal(network.head.weight, before)
    assert torch.equal(network.blocks[0][0].weight, state["conv1.weight"])


@torch.inference_mode()
def test_one_channel_sees_what_three_equal_ones_saw():
    theirs = torchvisions("resnet18")
    network = build("resnet18", channels=1, classes=9).eval()
    load_matching(network, theirs.state_dict(), where="test", backbone="test")
    gray = images("resnet18", channels=1)
    assert torch.allclose(network(gray), theirs(gray.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)


def test_one_channel_by_hand():
    weight = torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1)
    assert adapt_input(weight, 1).flatten().tolist() == [7.0]
    assert adapt_input(weight, 3) is weight
    assert adapt_input(weight, 5).flatten().tolist() == pytest.approx([0.6, 1.2, 2.4, 0.6, 1.2])


@settings(deadline=None)  # the first example imports timm
@given(channels=st.integers(1, 12), filters=st.integers(1, 3))
def test_channels_are_adapted_as_timm_does(channels, filters):
    from timm.models import adapt_input_conv

    weight = torch.randn(filters, 3, 2, 2)
    assert torch.allclose(adapt_input(weight, channels), adapt_input_conv(channels, weight), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "fresh", "unused"),
    [
        (lambda state: state.pop("conv1.weight"), {"blocks.0.0.weight"}, set()),
        (lambda state: state.update(more=torch.zeros(1)), set(), {"more"}),
        (lambda state: state.update({"bn1.bias": torch.zeros(5)}), {"blocks.0.1.bias"}, {"bn1.bias"}),
        (lambda state: state.pop("fc.bias"), {"head.bias"}, set()),
    ],
)
def test_what_is_missing_unknown_or_of_another_shape_is_listed(change, fresh, unused):
    network = build("resnet18", channels=3, classes=9)
    fill(network)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = torchvisions("resnet18").state_dict()
    change(state)
    match = load_matching(network, state, where="resnet18.pth", backbone="resnet18")
    assert (set(match.fresh), set(match.unused)) == (fresh, unused)
    assert all(torch.equal(network.state_dict()[name], before[name]) for name in fresh)


@torch.inference_mode()
def test_timms_own_state_dict_gives_timms_outputs():
    import timm

    theirs = timm.create_model("vit_tiny_patch16_224", num_classes=9).eval()
    fill(theirs)
    network = build("timm:vit_tiny_patch16_224", channels=3, classes=9).eval()
    load_matching(network, theirs.state_dict(), where="test", backbone="test")
    shown = torch.randn(1, 3, 224, 224)
    assert torch.allclose(network(shown), theirs(shown), rtol=1e-4, atol=1e-5)


def _wide(values) -> Tensor:
    return torch.tensor(values).view(1, 3, 1, 1)
