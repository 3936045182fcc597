"""The arithmetic of a network: against counts by hand and against the figure that papers give."""

import pytest

from headstart.training.flops import block_flops, forward_flops, training_flops


def test_resnet18_at_224_pixels_takes_the_1_8_billion_multiply_adds_of_the_paper():
    blocks = block_flops("resnet18", channels=3, image_size=224, classes=1000)
    assert sum(blocks) == pytest.approx(2 * 1.814e9, rel=1e-3)  # torchvision's table: 1.81 GMAC
    assert len(blocks) == 5


def test_a_stem_by_hand():
    blocks = block_flops("resnet8", channels=1, image_size=12, classes=3)
    assert blocks[0] == 2 * (6 * 6) * 16 * (3 * 3 * 1)  # positions x filters x filter size, multiply and add
    assert blocks[1] == 2 * 2 * (6 * 6) * 16 * (3 * 3 * 16)  # two convolutions


def test_the_head_is_in_the_last_block():
    few = block_flops("resnet8", channels=1, image_size=12, classes=3)
    many = block_flops("resnet8", channels=1, image_size=12, classes=103)
    assert many[-1] - few[-1] == 2 * 64 * 100
    assert few[:-1] == many[:-1]


def test_training_costs_three_forward_passes_of_what_is_trained():
    assert training_flops([1.0, 10.0, 100.0], examples=7) == 7 * 111 * 3
    assert training_flops([1.0, 10.0, 100.0], examples=7, boundary=2) == 7 * 100 * 3


def test_a_forward_pass_stops_at_the_boundary():
    assert forward_flops([1.0, 10.0, 100.0], examples=7) == 7 * 111
    assert forward_flops([1.0, 10.0, 100.0], examples=7, stop=2) == 7 * 11
