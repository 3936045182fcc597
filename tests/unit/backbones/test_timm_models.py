"""timm's networks as ordered blocks: against timm's own forward, and refused where they cannot be ordered."""

import subprocess
import sys

import pytest
import torch
from random_weights import fill

from headstart.backbones import timm_models
from headstart.backbones.network import build, check_size
from headstart.backbones.table import BACKBONES
from headstart.errors import SettingsError

CLASSES = 7
FAMILIES = {  # the smallest of each family, with how many stages timm knows of
    "resnet10t": 5,
    "efficientnet_lite0": 5,
    "convnext_atto": 4,
    "vit_tiny_patch16_224": 12,
    "mobilenetv3_small_050": 5,
    "regnetx_002": 5,
    "swin_tiny_patch4_window7_224": 4,
}
MORE = {
    "densenet121": 5,
    "edgenext_xx_small": 4,
    "fastvit_t8": 4,
    "inception_v4": 5,
    "maxvit_nano_rw_256": 5,
    "mobilenetv4_conv_small": 5,
    "swinv2_cr_tiny_ns_224": 4,
    "vit_small_patch16_224": 12,
}


def check_forward(name: str, stages: int, *, channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    original = timm_models._create
    monkeypatch.setattr(timm_models, "_create", lambda *a, **k: made.append(original(*a, **k)) or made[-1])
    network = build(f"timm:{name}", channels=channels, classes=CLASSES).eval()
    theirs = made[0].eval()
    fill(network)
    smallest = 75 if name == "inception_v4" else 64  # its convolutions without padding eat up the borders
    side = timm_models.native_size(f"timm:{name}") if theirs.pretrained_cfg["fixed_input_size"] else smallest
    images = torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = theirs(images)
        activations = images
        for number in range(len(network.blocks)):
            before, taken = activations, activations.clone()
            activations = network.run(activations, number, number + 1)
            assert torch.equal(before, taken)
        assert activations.shape == (2, network.feature_dim)
        found = network.head(activations)
        assert float((found - expected).abs().max()) <= 1e-5 * max(1.0, float(expected.abs().max()))
        assert float(expected.std()) > 1e-4  # zeros would agree too
    assert len(network.blocks) == stages
    assert {id(p) for p in network.parameters()} == {id(p) for p in theirs.parameters()}
    assert sorted(network.original_keys) == sorted(theirs.state_dict())
    assert sorted(network.original_keys.values()) == sorted(network.state_dict())


@pytest.mark.parametrize("name", FAMILIES)
def test_blocks_in_order_are_timms_own_forward(name, monkeypatch):
    check_forward(name, FAMILIES[name], channels=1, monkeypatch=monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_blocks_in_order_are_timms_own_forward_in_more_families(name, monkeypatch):
    check_forward(name, MORE[name], channels=3, monkeypatch=monkeypatch)


def test_class_token_and_positions_are_in_the_first_block():
    keys = build("timm:vit_tiny_patch16_224", channels=1, classes=2).original_keys
    assert keys["cls_token"].startswith("blocks.0.")
    assert keys["pos_embed"].startswith("blocks.0.")


def test_maps_have_channels_first_at_every_boundary():
    """timm's Swin Transformers have them last inside."""
    with torch.device("meta"):
        network = build("timm:swin_tiny_patch4_window7_224", channels=3, classes=2).eval()
        activations = network.run(torch.empty(2, 3, 224, 224), 0, 3)
    assert activations.shape == (2, 384, 14, 14)


def test_its_first_blocks_stay_fixed_in_training():
    network = build("timm:regnetx_002", channels=1, classes=2).train()
    images = network.run(torch.randn(2, 1, 32, 32), 0, 2)
    before = {key: value.clone() for key, value in network.blocks[:2].state_dict().items()}
    network.from_boundary(images.detach(), 2).sum().backward()
    assert all(p.grad is None for p in network.blocks[:2].parameters())
    assert all(p.grad is not None for p in network.blocks[2:].parameters())
    assert all(torch.equal(value, before[key]) for key, value in network.blocks[:2].state_dict().items())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("dla34", "its head is not one linear layer"),
        ("xcit_nano_12_p8_224", "patch_embed gives more than one tensor|takes more than one tensor"),
        ("hrnet_w18_small", "its stages lie inside of other modules"),
    ],
)
def test_a_network_whose_blocks_cannot_be_ordered_is_refused(name, reason):
    with pytest.raises(SettingsError, match=f"timm:{name} cannot be used, .*({reason}); choose another backbone"):
        build(f"timm:{name}", channels=3, classes=2)


@pytest.mark.parametrize("name", ["resnet18d_", "resnet18.a1_in1k", "hf-hub:some/one"])
def test_a_name_that_timm_does_not_list_is_refused(name):
    with pytest.raises(SettingsError, match=f"timm has no network '{name}'"):
        build(f"timm:{name}", channels=3, classes=2)


def test_near_names_are_offered():
    with pytest.raises(SettingsError, match=r"did you mean timm:.*timm:regnetx_002"):
        build("timm:regnetx_02", channels=3, classes=2)


def test_the_table_takes_any_name_of_timm_without_importing_it():
    command = (
        "import sys\nfrom headstart.settings import validate\n"
        "from headstart.backbones.table import BACKBONES\n"
        "validate({'backbone': 'timm:resnet18'}, where='x')\n"
        "print(BACKBONES.get('timm:resnet18').name, {'timm', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "timm:resnet18 set()\n"


def test_it_is_listed_once_and_is_no_name_of_its_own():
    assert [entry.name for entry in BACKBONES.listing()][-2:] == ["timm:NAME", "hf:NAME"]
    assert "timm:NAME" not in BACKBONES.names()


def test_a_size_that_it_cannot_take_is_refused_with_the_one_it_was_made_for():
    message = (
        r"rows are of 32x32 pixels, but timm:vit_tiny_patch16_224 cannot take it .*; set data.image_size to 224, or"
    )
    with pytest.raises(SettingsError, match=message):
        check_size("timm:vit_tiny_patch16_224", channels=3, size=(32, 32))
    check_size("timm:vit_tiny_patch16_224", channels=1, size=(224, 224))
    check_size("timm:regnetx_002", channels=3, size=(32, 32))


def test_of_others_the_table_knows():
    with pytest.raises(SettingsError, match="rows are of 28x28 pixels, but vgg11 needs at least 32 pixels"):
        check_size("vgg11", channels=3, size=(28, 28))
    check_size("vgg11", channels=3, size=(32, 32))
