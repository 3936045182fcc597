"""Every network as ordered blocks: against torchvision's own forward, at any channels, at its smallest image."""

import math
import re
from functools import cache
from pathlib import Path

import pytest
import torch
from random_weights import fill, without_start
from torch import nn
from torchvision import models
from torchvision.ops import Permute

from headstart.backbones.network import Network, Pooled, build, restore
from headstart.backbones.original import first_convolution
from headstart.backbones.table import BACKBONES
from headstart.backbones.vit import ClassToken
from headstart.errors import SettingsError
from headstart.training.accelerator import Accelerator
from headstart.training.checkpoint import Checkpoints
from headstart.training.loop import Plan, train
from headstart.training.rows import ActivationRows

CLASSES = 7


def numbered(stem: str, count: int) -> tuple[str, ...]:
    return tuple(f"{stem}{number}" for number in range(1, count + 1))


BLOCKS = {  # of the names that begin so; the first that fits
    r"resnet(8|14|20)$": ("stem", *numbered("stage", 3)),
    "resnet|resnext|wide_resnet": ("stem", *numbered("layer", 4)),
    "alexnet": (*numbered("stage", 3), *numbered("hidden", 2)),
    "vgg": (*numbered("stage", 5), *numbered("hidden", 2)),
    "googlenet": ("stem", "inception3", "inception4", "inception5"),
    "inception": ("stem", "conv4", "mixed5", "mixed6", "mixed7"),
    "densenet": ("stem", *numbered("dense", 4)),
    "squeezenet": numbered("stage", 4),
    "mobilenet_v2": numbered("stage", 5),
    "mobilenet_v3": (*numbered("stage", 5), "hidden"),
    "mnasnet": ("stem", *numbered("stack", 6), "conv"),
    "shufflenet": ("stem", "stage2", "stage3", "stage4", "conv5"),
    "efficientnet_v2_s": ("stem", *numbered("stage", 6), "conv"),
    "efficientnet": ("stem", *numbered("stage", 7), "conv"),
    "regnet": ("stem", *numbered("block", 4)),
    "convnext|swin": ("stem", *numbered("stage", 4)),
    "vit_b": ("embedding", *numbered("layer", 12)),
    "vit_l": ("embedding", *numbered("layer", 24)),
    "vit_h": ("embedding", *numbered("layer", 32)),
    "maxvit": ("stem", *numbered("block", 4)),
}
IMAGES = [entry.name for entry in BACKBONES if entry.takes == "maps"]  # test_text_networks.py has the others
OURS = [name for name in IMAGES if BACKBONES.get(name).weights is None]
THEIRS = [name for name in IMAGES if name not in OURS]
LIGHT = [  # the smallest of each family and of each kind of unit
    "googlenet",
    "resnet18",
    "densenet121",
    "squeezenet1_0",
    "squeezenet1_1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mnasnet0_5",
    "shufflenet_v2_x0_5",
    "efficientnet_b0",
    "regnet_x_400mf",
    "regnet_y_400mf",
]
HEAVY = [  # the smallest of families that have no small one
    "alexnet",
    "vgg11",
    "vgg11_bn",
    "inception_v3",
    "efficientnet_v2_s",
    "convnext_tiny",
    "swin_t",
    "swin_v2_t",
    "vit_b_32",
    "maxvit_t",
]


def each(names: list[str]):
    """Each of these networks; beyond the light ones in the long tier, for building a network takes a second."""
    fast = {*OURS, *LIGHT}
    return pytest.mark.parametrize(
        "name", [name if name in fast else pytest.param(name, marks=pytest.mark.slow) for name in names]
    )


EVERY = each(IMAGES)


def millions(name: str) -> float:
    """Parameters as the table states them."""
    return float(re.search(r"([\d.]+) M parameters", BACKBONES.get(name).line)[1])


UP_TO_30_M = [name for name in THEIRS if millions(name) < 30 and name not in LIGHT + HEAVY]


def both(name: str, monkeypatch: pytest.MonkeyPatch, *, channels: int) -> tuple[Network, nn.Module]:
    """Our network, and the torchvision network with the very same weights that it was taken from."""
    made = []
    original = getattr(models, name)
    monkeypatch.setattr(models, name, lambda **options: made.append(original(**options)) or made[-1])
    without_start(monkeypatch)
    network = build(name, channels=channels, classes=CLASSES)
    assert len(made) == 1
    fill(network)
    with torch.no_grad():
        if name == "maxvit_t":
            network.head.bias.zero_()  # the original has none
        if name.startswith("squeezenet"):  # its head is a convolution, and the scores go through a ReLU: without it
            made[0].classifier[1].weight.copy_(network.head.weight[..., None, None])
            made[0].classifier[1].bias.copy_(network.head.bias)
            made[0].classifier[2] = nn.Identity()
    return network, made[0]


def check_forward(name: str, monkeypatch: pytest.MonkeyPatch, *, channels: int, side: int) -> None:
    network, theirs = both(name, monkeypatch, channels=channels)
    images = torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(0))
    network.eval()
    theirs.eval()
    with torch.inference_mode():
        expected = theirs(images)
        activations = images
        for number in range(len(network.blocks)):
            taken = activations.clone()
            before, activations = activations, network.run(activations, number, number + 1)
            assert torch.equal(before, taken)  # or what is kept at a boundary would change under the next block
        assert activations.shape == (2, network.feature_dim)
        for found in (network.head(activations), network(images)):
            assert float((found - expected).abs().max()) <= 1e-5 * max(1.0, float(expected.abs().max()))
        assert float(expected.std()) > 1e-4  # zeros would agree too
        restored = restore(name, network.state_dict(), channels=channels, classes=CLASSES).eval()
        assert torch.equal(restored(images), found)


@pytest.mark.parametrize("name", LIGHT + HEAVY)
def test_blocks_in_order_are_torchvisions_own_forward(name, monkeypatch):
    check_forward(name, monkeypatch, channels=3, side=BACKBONES.get(name).smallest)


@pytest.mark.slow
@pytest.mark.parametrize("name", UP_TO_30_M)
def test_blocks_in_order_are_torchvisions_own_forward_for_all_up_to_30_m_parameters(name, monkeypatch):
    check_forward(name, monkeypatch, channels=3, side=max(64, BACKBONES.get(name).smallest))


@pytest.mark.parametrize("name", ["resnet18", "shufflenet_v2_x0_5"])
@pytest.mark.parametrize("channels", [1, 4])
def test_with_other_channels_they_are_torchvisions_forward_too(name, channels, monkeypatch):
    check_forward(name, monkeypatch, channels=channels, side=40)


@each(["resnet8", *LIGHT, *HEAVY])
@pytest.mark.parametrize("channels", [1, 4])
def test_any_number_of_channels_goes_in(name, channels):
    side = BACKBONES.get(name).smallest
    with torch.device("meta"):
        network = build(name, channels=channels, classes=CLASSES)
        assert network(torch.empty(2, channels, side, side)).shape == (2, CLASSES)


@cache
def on_meta(name: str) -> tuple[Network, list[str], nn.Module]:
    """The network as its line in the table counts it; layers and module of the original that it was taken from.

    Three channels and 1,000 classes; of our own, one channel and ten classes.
    """
    with pytest.MonkeyPatch.context() as patch, torch.device("meta"):
        if name in OURS:
            return build(name, channels=1, classes=10), [], nn.Identity()
        original, made = getattr(models, name), []
        patch.setattr(models, name, lambda **options: made.append((net := original(**options), layers(net))) or net)
        network = build(name, channels=3, classes=1000)
        [(theirs, before)] = made
        return network, before, theirs


def layers(network: nn.Module) -> list[str]:
    """All modules that compute something, in their order, but the head and what the original has as a call."""
    calls = (nn.Flatten, nn.AdaptiveAvgPool2d, nn.ReLU, Permute, Pooled, ClassToken)
    leaves = [module for module in network.modules() if not list(module.children())]
    return [repr(module) for module in leaves if not isinstance(module, calls)][:-1]


@EVERY
def test_block_order_and_shapes(name):
    """At the smallest image that it is registered for."""
    network, _, _ = on_meta(name)
    classes = 10 if name in OURS else 1000
    side = BACKBONES.get(name).smallest
    activations = torch.empty(2, 1 if name in OURS else 3, side, side, device="meta")
    assert network.block_names == next(names for begin, names in BLOCKS.items() if re.match(begin, name))
    assert len(network.blocks) == len(network.block_names)
    network.eval()
    for number in range(len(network.blocks)):
        vector = network.block_names[number].startswith("hidden") and number > 0 and activations.dim() == 2
        assert activations.dim() == (3 if name.startswith("vit") and number else 4) or vector
        activations = network.run(activations, number, number + 1)
    assert activations.shape == (2, network.feature_dim)
    assert network.head(activations).shape == (2, classes)


@EVERY
def test_its_line_states_its_number_of_parameters(name):
    count = sum(parameter.numel() for parameter in on_meta(name)[0].parameters())
    stated = re.search(r"([\d.]+) M parameters", BACKBONES.get(name).line)[1]
    assert f"{count / 1e6:.{len(stated.partition('.')[2])}f}" == stated


@each(THEIRS)
def test_the_layers_are_torchvisions_in_its_order(name):
    """Those that are too big to run too."""
    network, theirs, _ = on_meta(name)
    assert layers(network) == theirs


@each(THEIRS)
def test_every_tensor_of_the_original_has_its_place(name):
    network, _, theirs = on_meta(name)
    assert network.original_keys.keys() == theirs.state_dict().keys()
    ours = set(network.original_keys.values())
    assert len(ours) == len(network.original_keys)
    assert ours | {"head.bias"} == set(network.state_dict())  # MaxViT's original has no bias
    for key, name_of_ours in network.original_keys.items():
        assert theirs.state_dict()[key].numel() == network.state_dict()[name_of_ours].numel()


@each(THEIRS)
def test_its_pretrained_weights_are_torchvisions_of_that_name(name):
    assert models.get_model_weights(name).__name__ == BACKBONES.get(name).weights


def test_every_classification_network_of_torchvision_is_there():
    assert sorted(THEIRS) == sorted(models.list_models(module=models))


@pytest.mark.parametrize(
    "name",
    [n for n in [*LIGHT, *HEAVY] if BACKBONES.get(n).smallest > 8 and not BACKBONES.get(n).fixed],
)
def test_a_smaller_image_than_its_smallest_does_not_go_in(name):
    """So that nothing is refused without need; 8 pixels is what ingest makes at least."""
    side = BACKBONES.get(name).smallest - 1
    with pytest.raises((RuntimeError, AssertionError)):
        on_meta(name)[0](torch.empty(2, 3, side, side, device="meta"))


@pytest.mark.parametrize("name", ["vit_b_32", "maxvit_t"])
def test_a_fixed_size_takes_no_larger_image_either(name):
    with pytest.raises((RuntimeError, AssertionError, ValueError)):
        on_meta(name)[0](torch.empty(2, 3, 256, 256, device="meta"))


def check_training(name: str) -> None:
    """Two steps from a boundary, at the smallest image.

    The first blocks stay fixed to the bit, BatchNorm's running statistics included: they are what a forward pass in
    training mode would change. All that is behind them moves.
    """
    side = BACKBONES.get(name).smallest
    network = build(name, channels=1, classes=3)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.inference_mode():
        activations = network.eval().run(torch.randn(4, 1, side, side), 0, 2).contiguous().numpy()
    _train(network, ActivationRows(activations, activations[:, None]), boundary=2)
    after = network.state_dict()
    fixed = tuple(f"blocks.{number}." for number in range(2))
    same = {key for key, value in after.items() if torch.equal(value, before[key])}
    assert same >= {key for key in before if key.startswith(fixed)}
    trained = {key for key, _ in network.named_parameters() if not key.startswith(fixed)}
    assert not {key for key in same & trained if not key.endswith("bias")}
    assert all(torch.isfinite(tensor).all() for tensor in after.values())


@pytest.mark.parametrize("name", ["resnet8", *LIGHT])
def test_the_first_blocks_stay_fixed_to_the_bit_and_the_rest_moves(name):
    check_training(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", HEAVY)
def test_the_first_blocks_stay_fixed_to_the_bit_and_the_rest_moves_in_large_ones(name):
    check_training(name)


@pytest.mark.parametrize("name", ["resnet8", "resnet18", "shufflenet_v2_x0_5"])
def test_the_smallest_image_can_be_trained_on(name):
    side = BACKBONES.get(name).smallest
    network = build(name, channels=1, classes=3)
    before = network.head.weight.clone()
    images = torch.randn(4, 1, 1, side, side)
    _train(network, ActivationRows(images[:, 0].numpy(), images.numpy()), boundary=0)
    assert not torch.equal(network.head.weight, before)
    assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())


@each(THEIRS)
def test_the_first_convolution_is_the_one_that_sees_the_image(name):
    path, convolution = first_convolution(on_meta(name)[0])
    assert path.startswith("blocks.0.")
    assert convolution.in_channels == 3


@pytest.mark.parametrize("name", ["resnet8", "resnet18", "timm:regnetx_002"])
def test_a_network_is_restored_without_drawing_anything(name):
    tensors = build(name, channels=3, classes=CLASSES).state_dict()
    before = torch.get_rng_state()
    network = restore(name, tensors, channels=3, classes=CLASSES)
    assert name.startswith("timm:") or torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(network.state_dict()[key], tensor) for key, tensor in tensors.items())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_a_network_without_its_head_is_restored_with_zeros_and_one_without_a_block_is_not():
    tensors = build("resnet8", channels=3, classes=CLASSES).state_dict()
    body = {key: tensor for key, tensor in tensors.items() if key.startswith("blocks.")}
    network = restore("resnet8", body, channels=3, classes=CLASSES)
    assert not network.head.weight.any()
    assert not network.head.bias.any()
    with pytest.raises(RuntimeError, match=re.escape("blocks.0")):
        restore("resnet8", {k: v for k, v in tensors.items() if "blocks.0" not in k}, channels=3, classes=CLASSES)


def test_a_deeper_small_resnet_has_more_units_in_each_stage():
    depth = {
        name: sum(isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) for m in on_meta(name)[0].modules())
        for name in ("resnet8", "resnet14", "resnet20")
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
        checkpoints=Checkpoints(Path("/nowhere"), every=math.inf),
        observe=lambda step, loss: {},
    )
