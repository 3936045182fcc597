"""The arithmetic of a network: against counts by hand and against the figure that papers give."""

import pytest
from torchvision import models

from headstart.training.flops import block_flops, forward_flops, training_flops


def test_resnet18_at_224_pixels_takes_the_1_8_billion_multiply_adds_of_the_paper():
    blocks = block_flops("resnet18", channels=3, size=(224, 224), classes=1000)
    assert sum(blocks) == pytest.approx(2 * 1.814e9, rel=1e-3)  # torchvision's table: 1.81 GMAC
    assert len(blocks) == 5


def test_a_stem_by_hand():
    blocks = block_flops("resnet8", channels=1, size=(12, 12), classes=3)
    assert blocks[0] == 2 * (6 * 6) * 16 * (3 * 3 * 1)  # positions x filters x filter size, multiply and add
    assert blocks[1] == 2 * 2 * (6 * 6) * 16 * (3 * 3 * 16)  # two convolutions


@pytest.mark.parametrize(
    ("name", "image_size", "share"),
    [  # share: of the multiply-adds that torchvision's table gives; it counts no more than we do
        ("alexnet", 224, 1),
        ("googlenet", 224, 1),
        ("inception_v3", 299, 1),
        ("densenet121", 224, 1),
        ("squeezenet1_1", 224, 0.754),  # our head comes after the average, once a row and not at 169 positions
        ("mobilenet_v3_large", 224, 1),
        ("mnasnet1_0", 224, 1),
        ("efficientnet_b0", 224, 1),
        ("regnet_y_400mf", 224, 1),
        ("convnext_tiny", 224, 1),
        ("swin_t", 224, 1),
        ("swin_v2_t", 256, 1),
        ("vit_b_32", 224, 1),
        ("maxvit_t", 224, 1),
    ],
)
def test_each_family_takes_what_torchvisions_table_says(name, image_size, share):
    blocks = block_flops(name, channels=3, size=(image_size, image_size), classes=1000)
    stated = models.get_model_weights(name).DEFAULT.meta["_ops"] * 1e9
    assert sum(blocks) == pytest.approx(2 * stated * share, rel=3e-3)
    assert min(blocks) > 0


def test_timms_are_counted_too():
    blocks = block_flops("timm:vit_tiny_patch16_224", channels=3, size=(224, 224), classes=1000)
    assert sum(blocks) == pytest.approx(2 * 1.26e9, rel=0.01)  # DeiT-Ti in its paper (2012.12877): 1.3 GMAC
    assert len(blocks) == 12


def test_the_head_is_in_the_last_block():
    few = block_flops("resnet8", channels=1, size=(12, 12), classes=3)
    many = block_flops("resnet8", channels=1, size=(12, 12), classes=103)
    assert many[-1] - few[-1] == 2 * 64 * 100
    assert few[:-1] == many[:-1]


def test_training_costs_three_forward_passes_of_what_is_trained():
    assert training_flops([1.0, 10.0, 100.0], examples=7) == 7 * 111 * 3
    assert training_flops([1.0, 10.0, 100.0], examples=7, boundary=2) == 7 * 100 * 3


def test_a_forward_pass_stops_at_the_boundary():
    assert forward_flops([1.0, 10.0, 100.0], examples=7) == 7 * 111
    assert forward_flops([1.0, 10.0, 100.0], examples=7, stop=2) == 7 * 11
