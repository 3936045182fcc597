"""The pack of a source that is weights: it has no rows."""

from pathlib import Path

import numpy as np
import pandas as pd

from headstart.datasets.pack import POOL, Card, write_pack
from headstart.datasets.settings import DataSettings


def pack_weights(pack: Path, *, settings: DataSettings, classes: tuple[str, ...]) -> Card:
    """Publishes a pack without rows: there are weights, and no images that they came from.

    classes: of the weights' head, as far as their names are known.
    """
    card = Card(
        name=pack.name,
        classes=classes,
        counts={},
        splits={POOL: 0},
        rejected={},
        duplicates=0,
        removed_overlap=0,
        image_size=settings.image_size,
        channels=settings.channels,
        mean=(0.5,) * settings.channels,
        std=(0.25,) * settings.channels,
    )
    examples = pd.DataFrame({name: pd.Series(dtype="str") for name in ("id", "path", "label", "split", "group")})
    write_pack(
        pack,
        card=card,
        examples=examples,
        images=np.zeros((0, settings.channels, settings.image_size, settings.image_size), np.uint8),
        rejected=pd.DataFrame(columns=["path", "reason"]),
    )
    return card
