"""Datasets of torchvision, without a network: files in torchvision's own format that the test writes."""

import struct

import numpy as np
import pytest
from PIL import Image

from headstart.datasets.table import TORCHVISION, get_built_in, is_built_in, torchvision_name
from headstart.datasets.torchvision_sets import materialise_torchvision
from headstart.errors import SettingsError, UserError


@pytest.fixture
def mnist(tmp_path):
    """MNIST's own files with 6 training and 4 test digits, where torchvision looks for them."""
    raw = tmp_path / "downloads" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (10, 28, 28), dtype=np.uint8)
    for name, part, labels in (("train", pixels[:6], [0, 1, 2, 0, 1, 2]), ("t10k", pixels[6:], [0, 1, 2, 2])):
        (raw / f"{name}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, len(part), 28, 28) + part.tobytes())
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, len(labels)) + bytes(labels))
    return pixels


def test_the_published_split_becomes_split_folders(mnist, tmp_path):
    heard = []
    count = materialise_torchvision(
        TORCHVISION.get("torchvision-mnist"),
        tmp_path / "data" / "torchvision-mnist",
        downloads=tmp_path / "downloads",
        progress=lambda done, of: heard.append((done, of)),
    )
    root = tmp_path / "data" / "torchvision-mnist"
    assert count == 10
    assert heard == [(10, 10)]
    found = {path.relative_to(root).as_posix(): np.asarray(Image.open(path)) for path in root.rglob("*.png")}
    assert sorted(found)[:4] == [
        "test/0 - zero/000000.png",
        "test/1 - one/000001.png",
        "test/2 - two/000002.png",
        "test/2 - two/000003.png",
    ]
    assert (found["train/1 - one/000004.png"] == mnist[4]).all()
    assert (found["test/2 - two/000003.png"] == mnist[9]).all()


def test_without_a_network_it_says_what_to_do(tmp_path, monkeypatch):
    from urllib.error import URLError

    def fail(*_, **__):
        raise URLError("Name or service not known")

    monkeypatch.setattr("torchvision.datasets.CIFAR10.__init__", fail)
    with pytest.raises(UserError) as caught:
        materialise_torchvision(
            TORCHVISION.get("torchvision-cifar10"),
            tmp_path / "torchvision-cifar10",
            downloads=tmp_path / "downloads",
            progress=lambda done, of: None,
        )
    message = str(caught.value)
    assert message.startswith(
        "torchvision:CIFAR10 cannot be fetched: <urlopen error Name or service not known>. Without"
    )
    assert "or copy data/torchvision-cifar10 from a project that has it" in message
    assert not (tmp_path / "torchvision-cifar10").exists()


@pytest.mark.parametrize("entry", [*TORCHVISION], ids=lambda entry: entry.name)
def test_each_entry_is_a_class_of_torchvision_that_takes_its_arguments(entry):
    import inspect

    arguments = inspect.signature(entry.load().__init__).parameters
    assert {"root", "download"} <= set(arguments)
    assert {argument for _, argument, _ in entry.parts} <= set(arguments)
    assert (entry.test_rows > 0) == any(folder == "test" for folder, _, _ in entry.parts)
    assert entry.test_rows < entry.rows
    assert ":" not in entry.name
    assert is_built_in(entry.name)
    assert get_built_in(entry.name) is entry
    assert torchvision_name(f"torchvision:{entry.target.split(':')[1]}") == entry.name


def test_names():
    assert torchvision_name("torchvision:cifar10") == "torchvision-cifar10"
    assert torchvision_name("pets") == "pets"
    with pytest.raises(SettingsError, match="unknown torchvision dataset 'CIFAR'; did you mean CIFAR10 or CIFAR100"):
        torchvision_name("torchvision:CIFAR")
