"""Near duplicates on real pictures: 98% of planted ones or more are found, 1% of others or less are taken for one."""

import io

import numpy as np
import pytest
from corpus.near import CHANGES, SETS
from tally import trying

from headstart.datasets.ingest import ingest_target
from headstart.datasets.near import near_duplicates
from headstart.datasets.pack import Pack, read_test_labels
from headstart.datasets.settings import DataSettings
from headstart.modalities.image.modality import decode
from headstart.modalities.sketch import sketch

PLANTED = "Near duplicates: planted ones are found (at least 98%)"
REAL = "Near duplicates: real images that are none are told apart (at least 99%)"
RECALL, FALSE = 0.98, 0.01
LIKENESS = DataSettings().near_duplicates
ORIGINALS = 60  # of each set, for each change


def read(images, channels: int, size: int = 28) -> np.ndarray:
    """(images, channels, size, size), as ingest decodes them."""
    found = []
    for image in images:
        file = io.BytesIO()
        image.save(file, "PNG")
        file.seek(0)
        found.append(decode(file, size=size, channels=channels).values)
    return np.stack(found)


@pytest.fixture(scope="module", params=SETS)
def pictures(request):
    make, channels = SETS[request.param]
    images = make()
    return images, channels, sketch(read(images, channels))


def test_real_images_that_are_no_copies_are_told_apart(pictures):
    images, _, sketches = pictures
    with trying(REAL, times=0) as count:
        clusters = near_duplicates([f"{number:05d}" for number in range(len(images))], sketches, similarity=LIKENESS)
        count.tried += len(images)
        count.held += clusters.count(None)
    assert clusters.count(None) >= (1 - FALSE) * len(images)


def test_planted_copies_are_found(pictures):
    images, channels, sketches = pictures
    draw = np.random.default_rng(0)
    found: dict[str, list[bool]] = {}
    with trying(PLANTED, times=0) as count:
        for name, change in CHANGES.items():
            origins = draw.choice(len(images), ORIGINALS, replace=False)
            copies = sketch(read([change(images[row].convert("RGB"), draw) for row in origins], channels))
            names = [f"{number:05d}" for number in range(len(images) + ORIGINALS)]
            clusters = near_duplicates(names, np.concatenate([sketches, copies]), similarity=LIKENESS)
            both = [
                clusters[row] is not None and clusters[row] == clusters[len(images) + place]
                for place, row in enumerate(origins)
            ]
            found[name] = both
            count.tried += len(both)
            count.held += sum(both)
    hits = [hit for both in found.values() for hit in both]
    assert np.mean(hits) >= RECALL, {name: np.mean(both) for name, both in found.items()}


def test_a_copy_lies_on_its_originals_side_of_a_drawn_split_and_leaves_what_an_own_test_set_has(tmp_path, decoder):
    """Through the real ingest: 30 photographs, each saved once more as a JPEG."""
    images = SETS["photographs"][0]()[:60:2]
    for number, image in enumerate(images):
        for name, options in (("a.png", {}), ("b.jpg", {"quality": 60})):
            folder = tmp_path / "data" / "pets" / ("cat", "dog")[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            image.save(folder / f"{number}{name}", **options)
            side = tmp_path / "data" / "split" / ("test" if name == "a.png" and number < 10 else "train")
            (side / folder.name).mkdir(parents=True, exist_ok=True)
            image.save(side / folder.name / f"{number}{name}", **options)
    settings = DataSettings(channels=3, smallest_test=0)
    how = {"settings": settings, "seed": 0, "workers": decoder, "progress": lambda done, of: None}
    card = ingest_target(tmp_path / "data" / "pets", tmp_path / "packs" / "pets", **how)
    pack = Pack(tmp_path / "packs" / "pets")
    pool = {path.split("/")[1][:-5] for path in pack.examples["path"].dropna()}
    test = {path.split("/")[1][:-5] for path in read_test_labels(pack.directory)["path"]}
    assert card.near_duplicates == 30
    assert pool
    assert test
    assert pool & test == set()
    card = ingest_target(tmp_path / "data" / "split", tmp_path / "packs" / "split", **how)
    assert (card.splits["test"], card.splits["pool"], card.removed_overlap) == (10, 40, 10)
    exact = settings.model_copy(update={"near_duplicates": 1.0})
    card = ingest_target(tmp_path / "data" / "split", tmp_path / "packs" / "exact", **(how | {"settings": exact}))
    assert (card.splits["pool"], card.removed_overlap, card.near_duplicates) == (50, 0, 0)


def test_plain_images_are_no_copies_of_one_another():
    """Without contrast a sketch would be of noise; equal ones are found by their digests."""
    plain = np.full((40, 1, 12, 12), 100, np.uint8) + np.arange(40, dtype=np.uint8)[:, None, None, None]
    assert near_duplicates([str(n) for n in range(40)], sketch(plain), similarity=0.9) == [None] * 40


def test_clusters_of_many_hang_together_and_exact_copies_alone_are_none():
    draw = np.random.default_rng(0)
    one = draw.integers(0, 256, (1, 1, 28, 28))
    many = np.clip(one + draw.normal(0, 1, (500, 1, 28, 28)), 0, 255).astype(np.uint8)
    contents = [f"{number:03d}" for number in range(500)]
    assert set(near_duplicates(contents, sketch(many), similarity=0.99)) == {"000"}
    assert (
        near_duplicates(["a", "a", "b"], sketch(draw.integers(0, 256, (3, 1, 8, 8), np.uint8)), similarity=0.99)
        == [None] * 3
    )
    assert near_duplicates([], [], similarity=0.99) == []
