"""A pack in which all labels that a cell must not see are gone or wrong: it has to come to the same without them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from headstart.storage.publish import write_json, write_manifest


def without_labels(pack: Path, into: Path, *, keep: list[str], hidden: int) -> Path:
    """A copy of a pack: of the pool's rows that are not kept, one label is missing and the next wrong (`hidden`)."""
    blind = into / pack.name
    shutil.copytree(pack, blind)
    examples = pd.read_parquet(blind / "examples.parquet")
    classes = sorted(set(examples["label"].dropna()))
    rows = np.flatnonzero(~examples["id"].isin(keep) & (examples["split"] == "pool"))
    assert len(rows) == hidden
    turned = {name: classes[place - 1] for place, name in enumerate(classes)}
    column = examples.columns.get_loc("label")
    examples.iloc[rows[::2], column] = None
    examples.iloc[rows[1::2], column] = examples["label"].iloc[rows[1::2]].map(turned)
    examples.to_parquet(blind / "examples.parquet", index=False)
    card = json.loads((blind / "card.json").read_text())
    card["pack"]["counts"] = {}
    write_json(blind / "card.json", card)
    write_manifest(blind)
    return blind
