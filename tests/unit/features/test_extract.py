"""Extraction: what W computes is what the files hold, and a strategy's reads change with what it reads alone."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from headstart.datasets.pack import Pack
from headstart.errors import SettingsError
from headstart.features.extract import check_boundary, extract
from headstart.features.pooled import pooled
from headstart.storage.publish import sha256, verify
from headstart.strategies.table import STRATEGIES
from headstart.training.accelerator import Accelerator
from headstart.training.rows import ImageRows
from headstart.training.weights import read_network, weights_digest


@pytest.fixture(scope="module")
def w(domain):
    card, network = read_network(domain.places.weights)
    return card, network.eval()


@pytest.fixture
def run(domain, tmp_path):
    """Extracts into a folder of its own; returns that of the target. Settings may be changed by keyword."""

    def extracted(*, boundary: int = 2, seed: int = 0, progress=lambda done, of: None, **changes) -> Path:
        extract(
            Pack(domain.root / "packs" / "shapes"),
            domain.pack,
            weights=domain.places.weights,
            directories=(tmp_path / "source", tmp_path / "target"),
            settings=domain.settings.extract.model_copy(update=changes),
            boundary=boundary,
            seed=seed,
            accelerator=Accelerator(),
            progress=progress,
        )
        return tmp_path / "target"

    return extracted


def reads(folder: Path) -> dict[str, dict[str, str]]:
    return {path.stem: json.loads(path.read_text()) for path in (folder / "reads").iterdir()}


def changed(before: Path, after: Path) -> set[str]:
    """Strategies whose reads differ: those that DVC will run again."""
    old, new = reads(before), reads(after)
    assert old.keys() == new.keys()
    return {name for name in old if old[name] != new[name]}


def test_both_folders_are_published_whole(domain):
    assert set(verify(domain.places.source_features)) == {"pooled.npy"}
    assert set(verify(domain.places.features)) == {
        "pooled.npy",
        "boundary.npy",
        "views.npy",
        *(f"reads/{name}.json" for name in STRATEGIES.names()),
    }


@torch.inference_mode()
def test_pooled_features_are_the_networks_under_its_own_normalisation(domain, w):
    card, network = w
    for folder, pack in (
        (domain.places.features, domain.pack),
        (domain.places.source_features, Pack(domain.root / "packs" / "shapes")),
    ):
        images = torch.from_numpy(np.asarray(pack.images).copy()).float() / 255
        normal = (images - card.normalisation.mean[0]) / card.normalisation.std[0]
        found = np.load(folder / "pooled.npy")
        assert found.dtype == np.float32
        assert found.shape == (len(pack.examples), 64 + 32)  # two levels of resnet8
        assert np.abs(found - pooled(network, normal, boundary=0, levels=2).numpy()).max() < 1e-5


@torch.inference_mode()
def test_from_the_boundary_on_the_network_gives_its_own_scores(domain, w):
    card, network = w
    activations = torch.from_numpy(np.load(domain.places.features / "boundary.npy"))
    images = ImageRows(domain.pack.images, card.normalisation).plain(torch.arange(72))
    assert activations.shape == (72, 16, 6, 6)
    assert torch.allclose(network.from_boundary(activations, 2), network(images), atol=1e-4)


def test_views_are_of_the_pools_rows_in_their_order(domain, run, monkeypatch):
    """Of test rows there are none: nothing is trained on them."""
    monkeypatch.setattr("headstart.training.rows.augment", lambda images, draw: images)
    views = np.load(run() / "views.npy")
    plain = np.load(domain.places.features / "boundary.npy")[domain.pack.rows("pool")]
    assert views.shape == (42, 2, 16, 6, 6)
    assert np.abs(views - plain[:, None]).max() < 1e-5


def test_each_view_of_each_row_is_augmented_anew(domain):
    views = np.load(domain.places.features / "views.npy")
    plain = np.load(domain.places.features / "boundary.npy")[domain.pack.rows("pool")]
    assert np.abs(views - plain[:, None]).max((2, 3, 4)).min() > 0.01
    assert np.abs(views[:, 0] - views[:, 1]).max((1, 2, 3)).min() > 0.01


def test_the_same_seed_gives_the_same_files(domain, run):
    folder = run()
    assert changed(domain.places.features, folder) == set()
    for name in ("pooled.npy", "boundary.npy", "views.npy"):
        assert sha256(folder / name) == sha256(domain.places.features / name)


def test_another_seed_draws_other_views_alone(domain, run):
    folder = run(seed=1)
    assert changed(domain.places.features, folder) == {"frozen_blocks"}
    assert sha256(folder / "boundary.npy") == sha256(domain.places.features / "boundary.npy")


def test_another_boundary_changes_what_reads_the_boundary_and_nothing_else(domain, run):
    folder = run(boundary=1)
    assert changed(domain.places.features, folder) == {"frozen_blocks"}
    assert np.load(folder / "boundary.npy").shape == (72, 16, 6, 6)
    assert sha256(folder / "pooled.npy") == sha256(domain.places.features / "pooled.npy")


def test_more_views_change_what_reads_the_boundary_and_nothing_else(domain, run):
    assert changed(domain.places.features, run(views=3)) == {"frozen_blocks"}


def test_other_levels_change_what_reads_the_pooled_features_and_nothing_else(domain, run):
    folder = run(levels=1)
    assert changed(domain.places.features, folder) == {"source", "linear_probe", "lp_ft"}
    assert np.load(folder / "pooled.npy").shape == (72, 64)


def test_a_strategys_reads_are_what_its_table_entry_says(domain):
    found = reads(domain.places.features)
    names = {
        "weights": {"weights"},
        "pooled": {"source", "pooled.npy"},
        "boundary": {"boundary.npy", "views.npy"},
    }
    for strategy in STRATEGIES:
        assert set(found[strategy.name]) == set().union(*(names[read] for read in strategy.reads))
    assert found["scratch"] == {}
    assert found["full"] == {"weights": weights_digest(domain.places.weights)}
    assert found["linear_probe"]["pooled.npy"] == sha256(domain.places.features / "pooled.npy")
    assert found["linear_probe"]["source"] == sha256(domain.places.source_features / "pooled.npy")


def test_progress_counts_rows_and_views(run):
    heard = []
    run(progress=lambda done, of: heard.append((done, of)))
    total = 120 + 72 + 2 * 42
    assert heard[-1] == (total, total)
    assert [of for _, of in heard] == [total] * len(heard)
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)


@pytest.mark.parametrize("boundary", [0, 4, 99])
def test_a_boundary_outside_the_network_is_refused(w, run, tmp_path, boundary):
    with pytest.raises(SettingsError) as caught:
        run(boundary=boundary)
    message = str(caught.value)
    assert f"strategies.frozen_blocks.fixed_blocks is {boundary}" in message
    assert "stem, stage1, stage2, stage3: set it from 1 to 3" in message
    assert not (tmp_path / "source").exists()
    check_boundary(3, w[1])
