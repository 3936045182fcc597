"""A network as it is run for evaluation: folded, and on a CPU that gains by it with products in bfloat16."""

import pytest
import torch

from headstart.backbones.network import build
from headstart.features.extract import boundary_of
from headstart.training import accelerator as module
from headstart.training.accelerator import Accelerator
from headstart.training.policy import NO_WORK, Properties, Work

LARGE = Work(flops=1e12, weights=1)


@pytest.fixture
def able(monkeypatch):
    """A CPU with instructions for bfloat16; without them the same products are slow, and the same."""
    monkeypatch.setattr(module, "properties_of", lambda device: Properties("cpu", bfloat16=True))


def outputs(network, images, precision):
    with torch.inference_mode(), precision:
        return network.run(images, 0, len(network.blocks)).float()


@pytest.mark.parametrize(("name", "side"), [("resnet18", 64), ("densenet121", 32), ("vit_b_32", 224)])
def test_rounded_products_agree_with_the_plain_path(name, side, able):
    torch.manual_seed(0)
    network = build(name, channels=3, classes=2).eval()
    images = torch.randn(4, 3, side, side)
    with torch.inference_mode():
        expected = network.run(images, 0, len(network.blocks))
    fast, precision = Accelerator().evaluating(network, LARGE)
    found = outputs(fast, images, precision)
    assert found.dtype == torch.float32
    assert not torch.equal(found, expected)
    assert float(torch.nn.functional.cosine_similarity(found, expected).min()) > 0.999
    assert all(tensor.dtype != torch.bfloat16 for tensor in network.state_dict().values())  # the one given stays


def test_nothing_is_rounded_where_it_does_not_pay_or_is_not_wanted(able):
    network = build("resnet18", channels=3, classes=2).eval()
    for accelerator, work in ((Accelerator(), NO_WORK), (Accelerator(precision="float32"), LARGE)):
        fast, _ = accelerator.evaluating(network, work)
        assert all(parameter.dtype == torch.float32 for parameter in fast.parameters())
        same, _ = accelerator.evaluating(network, work, fold=False)
        assert same is network  # activations at a boundary are then W's own, to the bit


def test_activations_at_a_boundary_are_float32_either_way(able):
    torch.manual_seed(0)
    network = build("resnet18", channels=3, classes=2).eval()
    images = torch.randn(3, 3, 32, 32)
    plain, rounded = (
        boundary_of(network, 3, accelerator=Accelerator(), work=work)(images) for work in (NO_WORK, LARGE)
    )
    assert plain.dtype == rounded.dtype == "float32"
    assert plain.shape == rounded.shape == (3, 128, 4, 4)
    assert 0 < abs(plain - rounded).max() < 0.03 * abs(plain).max()
