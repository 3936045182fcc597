"""Every network as ordered blocks: against torchvision's own forward, at any channels, at its smallest image."""

import re
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision import models

from headstart.backbones.network import Network, build
from headstart.backbones.table import BACKBONES
from headstart.errors import SettingsError
from headstart.training.accelerator import Accelerator
from headstart.training.checkpoint import Checkpoints
from headstart.training.loop import Plan, train
from headstart.training.rows import ActivationRows

CLASSES = 7
RESNET = ("stem", "layer1", "layer2", "layer3", "layer4")
VGG = ("stage1", "stage2", "stage3", "stage4", "stage5", "hidden1", "hidden2")
BLOCKS = {
    "small_resnet": ("stem", "stage1", "stage2", "stage3"),
    "resnet": RESNET,
    "vgg": VGG,
    "shufflenet": ("stem", "stage2", "stage3", "stage4", "conv5"),
}
EVERY = pytest.mark.parametrize("name", BACKBONES.names())
OURS = [entry.name for entry in BACKBONES if "small_resnet" in entry.target]
THEIRS = [name for name in BACKBONES.names() if name not in OURS]
QUICK = ["resnet18", "vgg11", "vgg11_bn", "shufflenet_v2_x0_5"]  # one of each kind of unit there is
UP_TO_30_M = [
    "resnet34",
    "resnet50",
    "resnext50_32x4d",
    "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_5",
    "shufflenet_v2_x2_0",
]


def module_of(name: str) -> str:
    return BACKBONES.get(name).target.split(":")[0].rpartition(".")[2]


def both(name: str, monkeypatch: pytest.MonkeyPatch, *, channels: int) -> tuple[Network, nn.Module]:
    """Our network, and the torchvision network with the very same weights that it was taken from."""
    made = []
    original = getattr(models, name)
    monkeypatch.setattr(models, name, lambda **options: made.append(original(**options)) or made[-1])
    with torch.device("meta"):
        network = build(name, channels=channels, classes=CLASSES)
    assert len(made) == 1
    fill(network.to_empty(device="cpu"))
    return network, made[0]


@torch.no_grad()
def fill(network: nn.Module) -> None:
    """Weights and statistics as after a training: fresh BatchNorms would hide a swap. VGG's own start takes seconds."""
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(1_000_003, generator=draw)
    for name, tensor in network.state_dict().items():
        if tensor.dim() > 1:
            scale = (2 / tensor[0].numel()) ** 0.5
            for part in tensor.view(-1).split(len(noise)):
                torch.mul(noise[: len(part)], scale, out=part)
        elif tensor.is_floating_point():
            positive = name.endswith(("running_var", "weight"))
            tensor.uniform_(*((0.5, 2) if positive else (-0.2, 0.2)), generator=draw)
        else:
            tensor.fill_(3)


def check_forward(name: str, monkeypatch: pytest.MonkeyPatch, *, channels: int, side: int) -> None:
    network, theirs = both(name, monkeypatch, channels=channels)
    images = torch.randn(2, channels, side, side)
    network.eval()
    theirs.eval()
    with torch.inference_mode():
        expected = theirs(images)
        activations = images
        for number in range(len(network.blocks)):
            activations = network.run(activations, number, number + 1)
        assert activations.shape == (2, network.feature_dim)
        for found in (network.head(activations), network(images)):
            assert float((found - expected).abs().max()) <= 1e-5 * max(1.0, float(expected.abs().max()))
        assert float(expected.std()) > 1e-4  # zeros would agree too
    ours = sorted(id(p) for p in network.parameters())
    assert ours == sorted(id(p) for p in theirs.parameters())  # all of it is in a block or in the head, once


@pytest.mark.parametrize("name", QUICK)
def test_blocks_in_order_are_torchvisions_own_forward(name, monkeypatch):
    check_forward(name, monkeypatch, channels=3, side=BACKBONES.get(name).smallest)


@pytest.mark.slow
@pytest.mark.parametrize("name", UP_TO_30_M)
def test_blocks_in_order_are_torchvisions_own_forward_for_all_up_to_30_m_parameters(name, monkeypatch):
    check_forward(name, monkeypatch, channels=3, side=64)


@pytest.mark.parametrize("name", ["resnet18", "shufflenet_v2_x0_5"])
@pytest.mark.parametrize("channels", [1, 5])
def test_any_number_of_channels_goes_in(name, channels, monkeypatch):
    check_forward(name, monkeypatch, channels=channels, side=40)


def test_the_slow_tier_leaves_out_nothing_small():
    def size(name: str) -> float:
        return float(re.search(r"([\d.]+) M parameters", BACKBONES.get(name).line)[1])

    small = {name for name in THEIRS if size(name) < 30}
    assert small <= {*QUICK, *UP_TO_30_M}


@cache
def on_meta(name: str) -> tuple[Network, list[str]]:
    """The network as its line in the table counts it, and the layers of the torchvision network it was taken from.

    Three channels and 1,000 classes; of our own, one channel and ten classes.
    """
    with pytest.MonkeyPatch.context() as patch, torch.device("meta"):
        if name in OURS:
            return build(name, channels=1, classes=10), []
        original, made = getattr(models, name), []
        patch.setattr(models, name, lambda **options: made.append((net := original(**options), layers(net))) or net)
        network = build(name, channels=3, classes=1000)
        [(theirs, before)] = made
        assert {id(p) for p in network.parameters()} == {id(p) for p in theirs.parameters()}
        return network, before


def layers(network: nn.Module) -> list[str]:
    """All modules that compute something, in their order."""
    return [repr(module) for module in network.modules() if not list(module.children())]


@EVERY
def test_block_order_and_shapes(name):
    """At the smallest image that it is registered for."""
    network, _ = on_meta(name)
    classes = 10 if name in OURS else 1000
    side = BACKBONES.get(name).smallest
    activations = torch.empty(2, 1 if name in OURS else 3, side, side, device="meta")
    assert network.block_names == BLOCKS[module_of(name)]
    assert len(network.blocks) == len(network.block_names)
    network.eval()
    for number in range(len(network.blocks)):
        assert activations.dim() == 4 or network.block_names[number] == "hidden2"
        activations = network.run(activations, number, number + 1)
    assert activations.shape == (2, network.feature_dim)
    assert network.head(activations).shape == (2, classes)


@EVERY
def test_its_line_states_its_number_of_parameters(name):
    count = sum(parameter.numel() for parameter in on_meta(name)[0].parameters())
    stated = re.search(r"([\d.]+) M parameters", BACKBONES.get(name).line)[1]
    assert f"{count / 1e6:.{len(stated.partition('.')[2])}f}" == stated


@pytest.mark.parametrize("name", THEIRS)
def test_the_layers_are_torchvisions_in_its_order(name):
    """Those that are too big to run too. Ours has a pooling and a flattening besides, where torchvision has a call."""
    network, theirs = on_meta(name)
    ours = [layer for layer in layers(network) if layer not in ("Pooled()", "Flatten(start_dim=1, end_dim=-1)")]
    assert ours == theirs


@pytest.mark.parametrize("name", ["resnet8", "resnet18", "shufflenet_v2_x0_5"])
def test_the_smallest_image_can_be_trained_on(name):
    side = BACKBONES.get(name).smallest
    network = build(name, channels=1, classes=3)
    before = network.head.weight.clone()
    images = torch.randn(4, 1, 1, side, side)
    _train(network, ActivationRows(images[:, 0].numpy(), images.numpy()), boundary=0)
    assert not torch.equal(network.head.weight, before)
    assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())


@pytest.mark.parametrize("boundary", [1, 2, 3])
@pytest.mark.parametrize("name", ["resnet8", "shufflenet_v2_x0_5"])
def test_the_first_blocks_stay_fixed_to_the_bit_and_the_rest_moves(name, boundary):
    """BatchNorm's running statistics included: they are what a forward pass in training mode would change."""
    network = build(name, channels=1, classes=3)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.inference_mode():
        activations = network.eval().run(torch.randn(4, 1, 16, 16), 0, boundary).numpy()
    _train(network, ActivationRows(activations, activations[:, None]), boundary=boundary)
    fixed = tuple(f"blocks.{number}." for number in range(boundary))
    same = {key for key, value in network.state_dict().items() if torch.equal(value, before[key])}
    assert same >= {key for key in before if key.startswith(fixed)}
    assert any("running_mean" in key for key in before if key.startswith(fixed))
    assert not {key for key in same if not key.startswith(fixed) and not key.endswith("bias")}


def test_a_deeper_small_resnet_has_more_units_in_each_stage():
    depth = {
        name: sum(isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) for m in on_meta(name)[0].modules())
        for name in OURS
    }
    assert depth == {"resnet8": 7, "resnet14": 13, "resnet20": 19}  # and the head: hence their names


def test_the_small_resnet_halves_the_image_three_times():
    network = build("resnet8", channels=2, classes=3).eval()
    shapes = []
    activations = torch.randn(2, 2, 28, 28)
    for number in range(4):
        activations = network.run(activations, number, number + 1)
        shapes.append(tuple(activations.shape))
    assert shapes == [(2, 16, 14, 14), (2, 16, 14, 14), (2, 32, 7, 7), (2, 64)]


def test_an_unknown_network_is_refused_with_the_nearest_names():
    with pytest.raises(SettingsError, match=r"unknown backbone 'resnet9'; did you mean .*resnet8"):
        build("resnet9", channels=1, classes=2)


def _train(network: Network, rows: ActivationRows, *, boundary: int, steps: int = 2) -> None:
    plan = Plan(steps, len(rows), 0.01, 0.05, 0.2, boundary=boundary)
    train(
        network,
        rows,
        torch.tensor([0, 1, 2, 0]),
        plan=plan,
        seed=0,
        accelerator=Accelerator(),
        checkpoints=Checkpoints(Path("/nowhere")),
        observe=lambda step, loss: {},
    )
