"""Weights and their card: what is written is read, what is broken is refused, and where a head starts from."""

import json
from dataclasses import replace

import pytest
import torch

from headstart.backbones.network import build
from headstart.errors import IntegrityError
from headstart.objectives.classification import matching_head
from headstart.storage.publish import publishing, write_manifest
from headstart.training.rows import Normalisation
from headstart.training.weights import (
    WeightsCard,
    read_card,
    read_network,
    read_weights,
    weights_digest,
    write_weights,
)

CARD = WeightsCard(
    kind="network",
    strategy="pretrain",
    dataset="shapes",
    backbone="resnet8",
    classes=("b", "a"),
    modality="image",
    channels=1,
    size=(12, 12),
    preparation={"image_size": 12, "channels": 1},
    normalisation=Normalisation((0.1,), (0.3,)),
    levels=0,
    seed=3,
    label_budget=None,
    flops=1.5e9,
)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build("resnet8", channels=1, classes=2)


@pytest.fixture
def folder(network, tmp_path):
    with publishing(tmp_path / "weights") as draft:
        write_weights(draft, CARD, network.state_dict())
    return tmp_path / "weights"


def test_what_is_written_is_read(folder, network):
    card, tensors = read_weights(folder)
    assert card == CARD
    assert all(torch.equal(tensors[name], value) for name, value in network.state_dict().items())
    again = read_network(folder)[1]
    assert torch.equal(again.eval()(torch.ones(1, 1, 12, 12)), network.eval()(torch.ones(1, 1, 12, 12)))


def test_a_cell_s_card_has_its_label_budget(folder):
    with publishing(folder) as draft:
        write_weights(draft, replace(CARD, label_budget=10), {"a": torch.ones(2)})
    assert read_card(folder).label_budget == 10


def test_weights_in_channels_last_are_written_like_any_others(folder, network, tmp_path):
    with publishing(tmp_path / "other") as draft:
        write_weights(draft, CARD, network.to(memory_format=torch.channels_last).state_dict())
    assert weights_digest(tmp_path / "other") == weights_digest(folder)


def test_the_digest_is_that_of_the_file(folder):
    import hashlib

    content = (folder / "weights.safetensors").read_bytes()
    assert weights_digest(folder) == hashlib.sha256(content).hexdigest()


def test_weights_that_rotted_are_refused(folder):
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(IntegrityError, match=r"weights\.safetensors is not the file that was published"):
        read_weights(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    with publishing(tmp_path / "weights") as draft:
        write_weights(draft, CARD, {"head.weight": torch.tensor([1.0, value])})
    with pytest.raises(IntegrityError, match=r"head\.weight holds values that are not finite; run its step again"):
        read_weights(tmp_path / "weights")


@pytest.mark.parametrize(
    "text", [None, "{", "{}", '{"normalisation": {"mean": [0], "std": [1]}, "classes": [], "x": 1}']
)
def test_a_card_that_is_none_is_refused(folder, text):
    path = folder / "card.json"
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    with pytest.raises(IntegrityError, match=r"card\.json is not a card of weights"):
        read_card(folder)


def test_a_card_that_was_edited_is_refused_with_the_weights(folder):
    fields = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(fields | {"classes": ["a", "b"]}))
    with pytest.raises(IntegrityError, match=r"card\.json is not the file that was published"):
        read_weights(folder)
    write_manifest(folder)
    assert read_weights(folder)[0].classes == ("a", "b")


def test_a_head_starts_from_the_rows_of_the_same_names_and_from_zero_elsewhere(network):
    ours = build("resnet8", channels=1, classes=3)
    matching_head(ours.head, network.head, ("a", "c", "b"), ("b", "a"))
    assert torch.equal(ours.head.weight[0], network.head.weight[1])
    assert torch.equal(ours.head.weight[2], network.head.weight[0])
    assert ours.head.weight[1].abs().max() == 0
    assert ours.head.bias.tolist() == [network.head.bias[1].item(), 0.0, network.head.bias[0].item()]
