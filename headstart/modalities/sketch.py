"""Sketches of images: what stays of a picture that is saved once more, resized, brightened or with some noise.

The lowest frequencies of its cosine transform without the mean, of length 1, as perceptual hashes take them (but
numbers, not bits: of digits the bits are nearly all alike). Crops and mirror images have others.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

FREQUENCIES = 8  # a side, of brightness
OF_COLOUR = 3  # likewise, of the two differences of colour, which JPEG and palettes change most
COLOUR = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], np.float32)  # JFIF's
WEIGHT = 0.5  # of colour against brightness
FLATTEST = 2.0  # gray levels, root mean square; below it a sketch would be of noise alone

Sketches = NDArray[np.float16]


def sketch(images: NDArray[np.uint8]) -> Sketches:
    """(images, channels, height, width) -> (images, 63, or 79 in colour), of length 1; zeros without contrast."""
    down, across = _basis(images.shape[-2]), _basis(images.shape[-1])
    found = down @ images.astype(np.float32) @ across.T
    parts = [found[:, 0]]
    if images.shape[1] == len(COLOUR):
        bright, *differences = np.einsum("ij,njkl->inkl", COLOUR, found)
        parts = [bright, *(WEIGHT * part[:, :OF_COLOUR, :OF_COLOUR] for part in differences)]
    numbers = np.concatenate([part.reshape(len(images), -1)[:, 1:] for part in parts], axis=1)
    length = np.linalg.norm(numbers, axis=1, keepdims=True)
    flat = length < FLATTEST * np.sqrt(images.shape[-2] * images.shape[-1])
    return np.where(flat, 0, numbers / np.maximum(length, 1e-6)).astype(np.float16)


@cache
def _basis(size: int) -> NDArray[np.float32]:
    """(frequencies, size): the lowest cosines."""
    found: NDArray[np.float64] = dct(np.eye(size), axis=0, norm="ortho")
    return found[:FREQUENCIES].astype(np.float32)
