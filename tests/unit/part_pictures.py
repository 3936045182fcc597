"""Pictures of parts: a source that says which parts a picture has, and a target whose classes are made of them."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

SIZE = 12
PARTS = ("top", "left", "dot")
COLUMNS = (*PARTS, "ink", "shade")  # what the source's table says: yes/no, a number and a tag
CLASSES = {
    "roof": (1, 0, 0),
    "wall": (0, 1, 0),
    "corner": (1, 1, 0),
    "speck": (0, 0, 1),
    "eye": (1, 0, 1),
    "ear": (0, 1, 1),
    "face": (1, 1, 1),
}  # the parts of each
UNSEEN = ("eye", "ear")


def draw(parts: tuple[int, ...], noise: np.random.Generator, *, ink: float) -> np.ndarray:
    """(SIZE, SIZE) uint8: a bar on top, a bar on the left and a dot, as far as they are there, moved a little."""
    rows, columns = np.mgrid[:SIZE, :SIZE] - noise.normal(0, 0.5, 2)[:, None, None]
    shapes = (rows < 2.6, columns < 2.6, (rows - 7.5) ** 2 + (columns - 7.5) ** 2 < 6)
    shape = np.any([mask for mask, there in zip(shapes, parts, strict=True) if there], axis=0)
    return np.clip(shape * ink + noise.normal(0, 25, (SIZE, SIZE)), 0, 255).astype(np.uint8)


def draw_source(directory: Path, *, rows: int, seed: int) -> Path:
    """Random parts with a table of them; a tenth of the cells is empty."""
    noise = np.random.default_rng(seed)
    (directory / "images").mkdir(parents=True)
    table = []
    for number in range(rows):
        parts = list(CLASSES.values())[number % len(CLASSES)]
        ink = float(noise.integers(140, 256))
        path = f"images/{number:03d}.png"
        Image.fromarray(draw(parts, noise, ink=ink)).save(directory / path)
        said = ["yes" if there else "no" for there in parts]
        table.append((path, *said, f"{ink:g}", "dim" if ink < 200 else "bright"))
    frame = pd.DataFrame(table, columns=["path", *COLUMNS])
    empty = noise.random((rows, len(COLUMNS))) < 0.1
    frame[list(COLUMNS)] = frame[list(COLUMNS)].mask(empty, "")
    frame.to_csv(directory / "labels.csv", index=False)
    return directory


def draw_target(directory: Path, *, per_class: int, seed: int) -> Path:
    """A folder of class folders, fainter than the source, with the parts of each class."""
    noise = np.random.default_rng(seed)
    for name, parts in CLASSES.items():
        (directory / name).mkdir(parents=True)
        for number in range(per_class):
            Image.fromarray(draw(parts, noise, ink=150)).save(directory / name / f"{number:03d}.png")
    table = pd.DataFrame(CLASSES.values(), columns=PARTS).assign(**{"class": list(CLASSES)})
    table.to_csv(directory / "class_attributes.csv", index=False)
    return directory
