"""Mean and spread of pixels, by which a network that starts from nothing is fed."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

SMALLEST_STD = 1e-3  # of pictures that are all of one shade


def pixel_moments(blocks: Iterable[NDArray[np.uint8]], *, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and s.d. by channel, as fractions of 1; counted in whole numbers, so that how blocks are cut has no say.

    blocks: (rows, channels, height, width).
    """
    counts = np.zeros((channels, 256), np.int64)
    for block in blocks:
        for channel in range(channels):
            counts[channel] += np.bincount(block[:, channel].ravel(), minlength=256)
    levels = np.arange(256)
    total = counts.sum(1)
    mean = (counts @ levels) / total
    variance = (
        np.array([(row * (levels - centre) ** 2).sum() for row, centre in zip(counts, mean, strict=True)]) / total
    )
    return (
        tuple(float(value) for value in (mean / 255).round(6)),
        tuple(max(float(value), SMALLEST_STD) for value in (np.sqrt(variance) / 255).round(6)),
    )
