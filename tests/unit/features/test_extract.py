"""Extraction: what W computes is what the files hold, and a strategy's reads change with what it reads alone."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from headstart.datasets.pack import Pack, pack_digest
from headstart.errors import SettingsError
from headstart.features.extract import check_boundary, extract, reads_of
from headstart.features.pooled import pooled
from headstart.storage.publish import sha256, verify
from headstart.strategies.table import STRATEGIES
from headstart.training.accelerator import Accelerator
from headstart.training.rows import InputRows
from headstart.training.weights import read_network, weights_digest


@pytest.fixture(scope="module")
def w(domain):
    card, network = read_network(domain.places.weights)
    return card, network.eval()


@dataclass(frozen=True)
class Extracted:
    """The target's folder and the digests that came of it."""

    folder: Path
    digests: dict[str, str]


def run_in(domain, root: Path, *, boundary: int = 2, seed: int = 0, progress=lambda done, of: None, **changes):
    """Extracts into a folder of its own. Settings may be changed by keyword."""
    digests = extract(
        Pack(domain.root / "packs" / "shapes"),
        domain.pack,
        weights=domain.places.weights,
        directories=(root / "source", root / "target"),
        settings=domain.settings.extract.model_copy(update=changes),
        boundary=boundary,
        seed=seed,
        accelerator=Accelerator(),
        progress=progress,
    )
    return Extracted(root / "target", digests)


@pytest.fixture
def run(domain, tmp_path):
    return partial(run_in, domain, tmp_path)


@pytest.fixture(scope="module")
def before(domain, tmp_path_factory):
    return run_in(domain, tmp_path_factory.mktemp("before"))


def changed(before: Extracted, after: Extracted) -> set[str]:
    """Strategies whose reads differ: those that DVC will run again."""
    old, new = reads_of({"shapes": before.digests}), reads_of({"shapes": after.digests})
    assert list(old) == list(new) == STRATEGIES.names()
    return {name for name in old if old[name] != new[name]}


def test_both_folders_are_published_whole(domain):
    assert set(verify(domain.places.source_features)) == {"pooled.npy"}
    assert set(verify(domain.places.features)) == {
        "pooled.npy",
        "boundary.npy",
        "views.npy",
    }


@torch.inference_mode()
def test_pooled_features_are_the_networks_under_its_own_normalisation(domain, w):
    card, network = w
    for folder, pack in (
        (domain.places.features, domain.pack),
        (domain.places.source_features, Pack(domain.root / "packs" / "shapes")),
    ):
        images = torch.from_numpy(np.asarray(pack.inputs).copy()).float() / 255
        normal = (images - card.normalisation.mean[0]) / card.normalisation.std[0]
        found = np.load(folder / "pooled.npy")
        assert found.dtype == np.float32
        assert found.shape == (len(pack.examples), 64 + 32)  # two levels of resnet8
        assert np.abs(found - pooled(network, normal, boundary=0, levels=2).numpy()).max() < 1e-5


@torch.inference_mode()
def test_from_the_boundary_on_the_network_gives_its_own_scores(domain, w):
    card, network = w
    activations = torch.from_numpy(np.load(domain.places.features / "boundary.npy"))
    images = InputRows(domain.pack.inputs, card.normalisation, "image").plain(torch.arange(72))
    assert activations.shape == (72, 16, 6, 6)
    assert torch.allclose(network.from_boundary(activations, 2), network(images), atol=1e-4)


def test_views_are_of_the_pools_rows_in_their_order(domain, run, monkeypatch):
    """Of test rows there are none: nothing is trained on them."""
    monkeypatch.setattr("headstart.training.rows.InputRows.augment", lambda self, inputs, draw, **part: inputs)
    views = np.load(run().folder / "views.npy")
    plain = np.load(domain.places.features / "boundary.npy")[domain.pack.rows("pool")]
    assert views.shape == (42, 2, 16, 6, 6)
    assert np.abs(views - plain[:, None]).max() < 1e-5


def test_each_view_of_each_row_is_augmented_anew(domain):
    views = np.load(domain.places.features / "views.npy")
    plain = np.load(domain.places.features / "boundary.npy")[domain.pack.rows("pool")]
    assert np.abs(views - plain[:, None]).max((2, 3, 4)).min() > 0.01
    assert np.abs(views[:, 0] - views[:, 1]).max((1, 2, 3)).min() > 0.01


def test_the_same_seed_gives_the_same_files(domain, run, before):
    found = run()
    assert changed(before, found) == set()
    for name in ("pooled.npy", "boundary.npy", "views.npy"):
        assert found.digests[name] == sha256(found.folder / name) == sha256(domain.places.features / name)


def test_another_seed_draws_other_views_alone(run, before):
    found = run(seed=1)
    assert changed(before, found) == {"frozen_blocks"}
    assert found.digests["boundary.npy"] == before.digests["boundary.npy"]


def test_another_boundary_changes_what_reads_the_boundary_and_nothing_else(run, before):
    found = run(boundary=1)
    assert changed(before, found) == {"frozen_blocks"}
    assert np.load(found.folder / "boundary.npy").shape == (72, 16, 6, 6)
    assert found.digests["pooled.npy"] == before.digests["pooled.npy"]


def test_more_views_change_what_reads_the_boundary_and_nothing_else(run, before):
    assert changed(before, run(views=3)) == {"frozen_blocks"}


def test_other_levels_change_what_reads_the_pooled_features_and_nothing_else(run, before):
    found = run(levels=1)
    assert changed(before, found) == {entry.name for entry in STRATEGIES if "pooled" in entry.reads}
    assert np.load(found.folder / "pooled.npy").shape == (72, 64)


def test_a_strategys_reads_are_what_its_table_entry_says(domain, before):
    found = reads_of({"shapes": before.digests})
    names = {
        "weights": {"weights"},
        "pooled": {"source", "pooled.npy"},
        "boundary": {"boundary.npy", "views.npy"},
        "rows": {"rows"},
    }
    for strategy in STRATEGIES:
        own = found[strategy.name].get("shapes", {})
        assert set(own) == set().union(*(names[read] for read in strategy.reads))
    assert found["full"] == {"shapes": {"weights": weights_digest(domain.places.weights)}}
    assert found["coral"]["shapes"]["rows"] == pack_digest(domain.places.source_pack)
    assert found["linear_probe"]["shapes"]["pooled.npy"] == sha256(domain.places.features / "pooled.npy")
    assert found["linear_probe"]["shapes"]["source"] == sha256(domain.places.source_features / "pooled.npy")


def test_another_source_changes_all_reads_but_those_of_what_reads_nothing(before):
    one = reads_of({"shapes": before.digests})
    two = reads_of({"shapes": before.digests, "others": before.digests | {"weights": "x"}})
    assert {name for name in one if one[name] != two[name]} == {entry.name for entry in STRATEGIES if entry.reads}
    assert one["scratch"] == two["scratch"] == {}
    assert two["full"] == {"shapes": one["full"]["shapes"], "others": {"weights": "x"}}


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


def test_activations_that_take_too_much_are_not_kept_and_what_reads_them_follows_w(domain, run, before):
    found = run(activations_gb=1e-6)
    assert set(verify(found.folder)) == {"pooled.npy"}
    assert changed(before, found) == {"frozen_blocks"}
    again = run(activations_gb=1e-6, views=3)
    assert changed(found, again) == {"frozen_blocks"}
    size = sum((domain.places.features / name).stat().st_size for name in ("boundary.npy", "views.npy"))
    assert "views.npy" in verify(run(activations_gb=size / 1e9).folder)
