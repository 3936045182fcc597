"""Published weights: their names, and their download through torchvision's own code, from a file."""

import hashlib
import json

import pytest
import torch
from torchvision import models

from headstart.datasets.published import check_published, download, folder_name, is_published
from headstart.datasets.table import get_built_in, is_built_in
from headstart.datasets.weights_folder import ABOUT, find_weights, read_about
from headstart.errors import DataError, SettingsError
from headstart.training.adopt import read_state

NAME = "shufflenet_v2_x0_5-IMAGENET1K_V1"


@pytest.fixture
def entry(tmp_path, monkeypatch):
    """torchvision's entry of these weights, whose address is a file with tensors of ours."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    torch.save(models.shufflenet_v2_x0_5().state_dict(), tmp_path / "draft")
    digest = hashlib.sha256((tmp_path / "draft").read_bytes()).hexdigest()
    path = (tmp_path / "draft").rename(tmp_path / f"shufflenet-{digest[:10]}.pth")
    entry = models.ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1
    monkeypatch.setattr(entry.value, "url", path.as_uri())
    return entry


@pytest.mark.parametrize(
    ("backbone", "weights"),
    [("resnet18", "IMAGENET1K_V1"), ("vit_b_16", "IMAGENET1K_SWAG_E2E_V1"), ("timm:a.b", "pretrained")],
)
def test_their_names_are_folders_and_built_in_datasets(backbone, weights):
    name = folder_name(backbone, weights)
    assert is_published(name)
    assert is_built_in(name)
    assert get_built_in(name).name == name
    assert not set(name) & set(':/\\ "')


@pytest.mark.parametrize("name", ["digits", "my-folder", "a-b-c", "cats-IMAGENET", "-IMAGENET1K_V1", ""])
def test_other_names_are_not_taken_for_them(name):
    assert not is_published(name)


def test_it_downloads_checks_and_says_what_is_known(entry, tmp_path):
    download(NAME, tmp_path / NAME)
    about = read_about(tmp_path / NAME)
    assert about.mean == (0.485, 0.456, 0.406)
    assert (len(about.classes), about.classes[1], about.image_size) == (1000, "goldfish", 224)
    state = read_state(find_weights(tmp_path / NAME))
    assert torch.equal(state["fc.weight"], torch.load(next(tmp_path.glob("*.pth")), weights_only=True)["fc.weight"])
    assert json.loads((tmp_path / NAME / ABOUT).read_text())["image_size"] == 224


def test_a_download_of_other_bytes_is_refused(entry, tmp_path, monkeypatch):
    path = next(tmp_path.glob("*.pth"))
    wrong = path.rename(tmp_path / "shufflenet-0123456789.pth")
    monkeypatch.setattr(entry.value, "url", wrong.as_uri())
    with pytest.raises(DataError, match="invalid hash value"):
        download(NAME, tmp_path / NAME)
    assert not (tmp_path / NAME).exists()


def test_without_a_network_it_says_which_file_to_bring(entry, tmp_path, monkeypatch):
    monkeypatch.setattr(entry.value, "url", (tmp_path / "gone-0123456789.pth").as_uri())
    with pytest.raises(DataError, match=r"could not be downloaded from file:.*gone-.*--source.weights FILE"):
        download(NAME, tmp_path / NAME)


def test_weights_that_nobody_publishes_are_refused():
    check_published("resnet18", "IMAGENET1K_V1")
    check_published("timm:resnet18", "pretrained")
    with pytest.raises(SettingsError, match="did you mean IMAGENET1K_V1"):
        check_published("resnet18", "IMAGENET1K_V3")
    with pytest.raises(SettingsError, match="nobody publishes weights of resnet8"):
        check_published("resnet8", "IMAGENET1K_V1")
    with pytest.raises(SettingsError, match="'pretrained' or a file"):
        check_published("timm:resnet18", "IMAGENET1K_V1")
