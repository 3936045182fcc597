"""Packs of values, written directly: bars turned by an angle, in degrees or, as another target, in turns."""

from pathlib import Path

import numpy as np
import pandas as pd

from headstart.datasets.pack import POOL, TEST, Card, write_pack
from headstart.datasets.values import Value

SIZE = 12


def turned_bars(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, SIZE, SIZE) uint8 and angles (count,) in degrees, -60 to 60."""
    draw = np.random.default_rng(seed)
    angles = draw.uniform(-60, 60, count).round(1)
    rows, columns = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    slopes = np.radians(angles)[:, None, None]
    across = np.abs(rows * np.cos(slopes) + columns * np.sin(slopes))
    noise = draw.normal(0, 20, (count, SIZE, SIZE))
    return np.clip((across < 1.6) * 200.0 + noise, 0, 255).astype(np.uint8), angles


def write_value_pack(
    directory: Path, *, count: int, test: int, seed: int, unit: str = "degrees", each: float = 1.0
) -> Path:
    """A pack of turned bars whose first `test` rows are test rows; values are angles times `each`, in `unit`."""
    images, angles = turned_bars(count, seed)
    ids = [f"{directory.name}{row:05d}-0" for row in range(count)]
    values, split = angles * each, np.where(np.arange(count) < test, TEST, POOL)
    examples = pd.DataFrame({"id": ids, "path": ids, "value": values, "split": split, "group": ids})
    known = values[test:]
    card = Card(
        name=directory.name,
        classes=(),
        counts={},
        splits={str(name): int(number) for name, number in examples["split"].value_counts().items()},
        rejected={},
        duplicates=0,
        removed_overlap=0,
        modality="image",
        channels=1,
        size=(SIZE, SIZE),
        preparation={"image_size": SIZE, "channels": 1},
        mean=(float(images.mean() / 255),),
        std=(float(images.std() / 255),),
        kind="value",
        values=(Value("value", unit, float(known.mean()), float(known.std())),),
    )
    rejected = pd.DataFrame(columns=["path", "reason"])
    write_pack(directory, card=card, examples=examples, inputs=images[:, None], rejected=rejected)
    return directory
