"""Rows: normalised images that are augmented anew, and activations of which a view is drawn."""

import numpy as np
import pytest
import torch

from headstart.training.accelerator import generator
from headstart.training.placed import placed
from headstart.training.rows import ActivationRows, InputRows, Normalisation

PIXELS = np.arange(4 * 2 * 6 * 6, dtype=np.uint8).reshape(4, 2, 6, 6)


def test_normalisation_is_by_channel_as_fractions_of_the_pixel_range():
    images = torch.tensor([0, 255, 51], dtype=torch.uint8).repeat(2, 1).view(1, 2, 1, 3)
    found = Normalisation((0.5, 0.2), (0.25, 0.1)).apply(images)
    assert found[0, 0, 0].tolist() == pytest.approx([-2.0, 2.0, -1.2])
    assert found[0, 1, 0].tolist() == pytest.approx([-2.0, 8.0, 0.0], abs=1e-6)


def test_with_their_own_normalisation_images_have_mean_0_and_sd_1():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 1, 6, 6), dtype=np.uint8)
    own = Normalisation((pixels.mean() / 255,), (pixels.std() / 255,))
    found = InputRows(pixels, own, "image").plain(torch.arange(50))
    assert found.mean().item() == pytest.approx(0, abs=1e-5)
    assert found.std(unbiased=False).item() == pytest.approx(1, abs=1e-5)


def test_rows_come_in_the_order_asked_for():
    rows = InputRows(PIXELS, Normalisation((0.0, 0.0), (1.0, 1.0)), "image")
    found = rows.plain(torch.tensor([3, 0, 3]))
    assert len(rows) == 4
    assert torch.equal(found[0], found[2])
    assert torch.allclose(found[1] * 255, torch.from_numpy(PIXELS[0]).float())


def test_places_are_a_view_of_some_images():
    places = np.array([2, 0, 3])
    rows, plain = InputRows(PIXELS, Normalisation((0.0, 0.0), (1.0, 1.0)), "image", places=places), PIXELS[places]
    assert len(rows) == 3
    assert rows.nbytes == plain.nbytes
    assert np.array_equal(rows.stored(torch.tensor([1, 2])).numpy(), plain[[1, 2]])
    resident = placed(rows, "cpu", resident=True)
    assert torch.equal(resident.plain(torch.tensor([2, 0])), rows.plain(torch.tensor([2, 0])))


def test_a_batch_is_augmented_by_its_generator_alone():
    rows = InputRows(PIXELS, Normalisation((0.0, 0.0), (1.0, 1.0)), "image")
    batch = torch.tensor([0, 1])
    one, same, other = (rows.batch(batch, generator("augment", step)) for step in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert not torch.equal(one, rows.plain(batch))


def test_without_augmentation_a_batch_is_the_images_as_they_are():
    rows = InputRows(PIXELS, Normalisation((0.0, 0.0), (1.0, 1.0)), "image", augmented=False)
    batch = torch.tensor([0, 1])
    assert torch.equal(rows.batch(batch, generator(0)), rows.plain(batch))


def test_of_activations_a_view_is_drawn_for_each_row():
    views = np.arange(5 * 3, dtype=np.float32).reshape(5, 3, 1)  # row r's views are 3r, 3r + 1, 3r + 2
    rows = ActivationRows(-views[:, 0], views)
    batch = torch.tensor([4, 0, 2])
    seen = torch.stack([rows.batch(batch, generator("view", step))[:, 0] for step in range(40)])
    assert [sorted(set(column.tolist())) for column in seen.T] == [[12, 13, 14], [0, 1, 2], [6, 7, 8]]
    assert rows.plain(batch)[:, 0].tolist() == [-12, 0, -6]
    assert torch.equal(rows.batch(batch, generator(1)), rows.batch(batch, generator(1)))
    assert len(rows) == 5
