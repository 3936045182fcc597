"""The pack of a source that is weights: it has no rows."""

from pathlib import Path

import numpy as np
import pandas as pd

from headstart.datasets.pack import POOL, Card, write_pack
from headstart.datasets.settings import DataSettings
from headstart.modalities.table import fields_of, unknown_moments


def pack_weights(pack: Path, *, settings: DataSettings, classes: tuple[str, ...]) -> Card:
    """Publishes a pack without rows: there are weights, and no rows that they came from.

    classes: of the weights' head, as far as their names are known.
    """
    modality = settings.row_kind.load()
    fields = fields_of(settings)
    mean, std = unknown_moments(settings.modality, fields["channels"])
    card = Card(
        name=pack.name,
        classes=classes,
        counts={},
        splits={POOL: 0},
        rejected={},
        duplicates=0,
        removed_overlap=0,
        mean=mean,
        std=std,
        **fields,
    )
    examples = pd.DataFrame({name: pd.Series(dtype="str") for name in ("id", "path", "label", "split", "group")})
    write_pack(
        pack,
        card=card,
        examples=examples,
        inputs=np.zeros((0, *card.shape), modality.dtype),
        rejected=pd.DataFrame(columns=["path", "reason"]),
    )
    return card
