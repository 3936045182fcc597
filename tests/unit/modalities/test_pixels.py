"""Images as plain vectors: fractions of 1, averaged down where they are large."""

import numpy as np
import pytest

from headstart.modalities.pixels import pixel_vectors


def test_small_images_are_taken_as_they_are():
    images = np.arange(3 * 2 * 4 * 4, dtype=np.uint8).reshape(3, 2, 4, 4)
    found = pixel_vectors(images, np.array([2, 0]))
    assert found == pytest.approx(images[[2, 0]].reshape(2, 32) / 255)


def test_large_ones_are_means_of_squares():
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64)).astype(np.uint8)
    found = pixel_vectors(images, np.array([1])).reshape(3, 32, 32)
    assert found == pytest.approx(images[1].reshape(3, 32, 2, 32, 2).mean((2, 4)) / 255, abs=1e-6)


def test_at_an_edge_the_squares_are_what_is_left():
    image = np.arange(33 * 33).reshape(1, 1, 33, 33) % 251
    found = pixel_vectors(image.astype(np.uint8), np.array([0])).reshape(17, 17)
    assert found[16, 16] == pytest.approx(image[0, 0, 32, 32] / 255)
    assert found[0, 16] == pytest.approx(image[0, 0, :2, 32].mean() / 255)
    assert pixel_vectors(image.astype(np.uint8), np.array([], dtype=int)).shape == (0, 1)
