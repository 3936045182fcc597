"""Weights from elsewhere as W: by name and shape, from safe and from pickled files, and refused where nothing fits."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from headstart.backbones.network import build
from headstart.datasets.settings import DataSettings
from headstart.datasets.weights_folder import ABOUT, IMAGENET_MEAN, find_weights, read_about
from headstart.errors import DataError
from headstart.training.adopt import MATCHES, adopt, load_matching, read_state
from headstart.training.weights import read_card, read_network

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def original():
    torch.manual_seed(7)
    network = models.shufflenet_v2_x0_5(num_classes=6)
    network.eval()
    return network


def put(folder: Path, state, name: str = "mine.safetensors", **about) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / name) if name.endswith(".safetensors") else torch.save(state, folder / name)
    if about:
        (folder / ABOUT).write_text(json.dumps(about))
    return folder


PICTURES = DataSettings(image_size=32, channels=3)


def take(folder: Path, **changes):
    wanted = {"backbone": "shufflenet_v2_x0_5", "settings": PICTURES, "seed": 1} | changes
    return adopt(folder, folder.with_name("W"), **wanted)


@pytest.mark.parametrize("name", ["mine.pth", "mine.safetensors"])
def test_torchvisions_own_names_match_and_the_outputs_are_the_same(tmp_path, original, name):
    classes = [f"kind {number}" for number in range(6)]
    folder = put(tmp_path / "mine", original.state_dict(), name, mean=[0.5] * 3, std=[0.2] * 3, classes=classes)
    card, match = take(folder)
    read, network = read_network(tmp_path / "W")
    assert read == card
    assert (card.classes, card.normalisation.mean, card.flops) == (tuple(classes), (0.5, 0.5, 0.5), None)
    assert match.fresh == match.unused == ()
    with torch.inference_mode():
        assert torch.allclose(network.eval()(IMAGES), original(IMAGES), atol=1e-5)
    table = (tmp_path / "W" / MATCHES).read_text().splitlines()
    assert table[0] == "tensor,from,state"
    assert "head.weight,fc.weight,taken" in table


@pytest.mark.parametrize(
    ("name", "wrap"),
    [
        ("a.safetensors", lambda state: {"module." + key: value for key, value in state.items()}),
        ("a.pth", lambda state: {"state_dict": {"model.backbone." + k: v for k, v in state.items()}, "epoch": 3}),
        ("a.pt", lambda state: {"model": state}),
    ],
)
def test_wrappers_and_prefixes_of_training_scripts_are_seen_through(tmp_path, original, name, wrap):
    _, match = take(put(tmp_path / "mine", wrap(original.state_dict()), name))
    assert [name for name in match.fresh if not name.startswith("head.")] == []
    assert len(match.taken) > 200


def test_a_head_without_class_names_or_of_another_count_is_dropped_and_a_body_is_enough(tmp_path, original):
    body = {key: value for key, value in original.state_dict().items() if not key.startswith("fc.")}
    for name, state in (("whole", original.state_dict()), ("body", body)):
        card, match = take(put(tmp_path / name, state))
        assert card.classes == ()
        assert set(match.fresh) == {"head.weight", "head.bias"}
        assert set(match.unused) == ({"fc.weight", "fc.bias"} if name == "whole" else set())
        _, network = read_network(tmp_path / "W")
        assert network.head.weight.shape == (1, 1024)
        assert not network.head.weight.any()
        assert card.normalisation.mean == IMAGENET_MEAN


def test_gray_images_get_the_sum_of_the_first_convolution_and_the_mean_of_the_normalisation(tmp_path, original):
    card, _ = take(put(tmp_path / "mine", original.state_dict()), settings=DataSettings(image_size=32, channels=1))
    _, network = read_network(tmp_path / "W")
    first = next(tensor for name, tensor in network.state_dict().items() if tensor.dim() == 4)
    assert torch.allclose(first, original.conv1[0].weight.sum(1, keepdim=True), atol=1e-6)
    assert card.normalisation.mean == (pytest.approx(sum(IMAGENET_MEAN) / 3),)


def test_what_has_another_shape_starts_from_random_values_that_the_seed_draws(tmp_path, original):
    state = original.state_dict() | {"conv5.0.weight": torch.zeros(5, 5, 1, 1)}
    _, match = take(put(tmp_path / "mine", state))
    assert "conv5.0.weight" in match.unused
    (fresh,) = [name for name in match.fresh if not name.startswith("head.")]
    first = read_network(tmp_path / "W")[1].state_dict()[fresh].clone()
    take(tmp_path / "mine", seed=1)
    assert torch.equal(read_network(tmp_path / "W")[1].state_dict()[fresh], first)
    take(tmp_path / "mine", seed=2)
    assert not torch.equal(read_network(tmp_path / "W")[1].state_dict()[fresh], first)


def test_headstarts_own_weights_match_by_our_names(tmp_path):
    torch.manual_seed(0)
    network = build("resnet8", channels=1, classes=3)
    match = load_matching(
        build("resnet8", channels=1, classes=3), network.state_dict(), where=Path("own"), backbone="resnet8"
    )
    assert match.fresh == match.unused == ()


def test_weights_of_another_network_are_refused_with_the_names_of_both(tmp_path, original):
    with pytest.raises(DataError) as refusal:
        take(put(tmp_path / "mine", original.state_dict()), backbone="resnet8")
    message = str(refusal.value)
    assert "matches resnet8 by name and shape" in message
    assert "conv1.0.weight (24, 3, 3, 3)" in message
    assert not (tmp_path / "W").exists()


class Danger:
    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize("content", [b"", b"not weights at all", pickle.dumps(Danger())])
def test_what_is_no_file_of_tensors_is_refused_in_one_line(tmp_path, content, capfd):
    for name in ("mine.pth", "mine.safetensors"):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError, match="mine"):
            read_state(path)
    assert "run" not in capfd.readouterr().out


def test_a_whole_pickled_model_is_refused_with_what_to_do(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pth")
    with pytest.raises(DataError) as refused:
        read_state(tmp_path / "model.pth")
    assert str(refused.value) == (
        f"{tmp_path / 'model.pth'} cannot be read as weights: it holds torch.nn.modules.linear.Linear. Only tensors "
        "are loaded, never other pickled objects: save model.state_dict() with torch.save or safetensors"
    )


def test_two_files_of_weights_in_a_folder_are_refused(tmp_path):
    for name in ("a.pth", "b.safetensors"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"a.pth, b.safetensors: keep one"):
        find_weights(tmp_path)


@pytest.mark.parametrize("text", ["[]", "{", '{"mean": [0.5], "std": [0.0]}', '{"colour": 1}', '{"mean": 3}'])
def test_a_weights_json_that_is_none_is_refused(tmp_path, text):
    (tmp_path / ABOUT).write_text(text)
    with pytest.raises(DataError, match=r"weights.json"):
        read_about(tmp_path)


def test_the_card_of_adopted_weights_reads_back(tmp_path, original):
    card, _ = take(put(tmp_path / "mine", original.state_dict()))
    assert read_card(tmp_path / "W") == replace(card, strategy="adopted")


def test_vggish_weights_of_sound_are_the_first_six_convolutions_of_vgg11(tmp_path):
    widths = {0: (1, 64), 3: (64, 128), 6: (128, 256), 8: (256, 256), 11: (256, 512), 13: (512, 512)}
    draw = torch.Generator().manual_seed(2)
    state = {}
    for place, (before, after) in widths.items():
        state[f"features.{place}.weight"] = torch.randn(after, before, 3, 3, generator=draw) * 0.02
        state[f"features.{place}.bias"] = torch.randn(after, generator=draw) * 0.02
    for place, (before, after) in {0: (12_288, 64), 2: (64, 64), 4: (64, 128)}.items():  # 4,096 wide, as it is
        state[f"embeddings.{place}.weight"] = torch.zeros(after, before)
        state[f"embeddings.{place}.bias"] = torch.zeros(after)
    sound = DataSettings(modality="audio")
    card, match = take(put(tmp_path / "vggish", state, "vggish.pth"), backbone="vgg11", settings=sound)
    assert (card.modality, card.channels, card.size) == ("audio", 1, (64, 63))
    assert len(match.taken) == 12
    assert {name.partition(".")[0] for name in match.unused} == {"embeddings"}
    _, network = read_network(tmp_path / "W")
    convolutions = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    for convolution, place in zip(convolutions, widths, strict=False):
        assert torch.equal(convolution.weight, state[f"features.{place}.weight"])
