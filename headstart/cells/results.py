"""Reading what finetune and select published. Torch-free: evaluate and report need no more."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from headstart.cells.job import PREDICTIONS
from headstart.storage.publish import verify

CELLS = "cells.csv"
LABELLED = "labelled.json"
SELECTION = "selection.json"


def read_cells(directory: Path) -> pd.DataFrame:
    """cells.csv of a published folder; pretraining_compute is nan where nobody knows what W took."""
    unknown = {"learning_rate": [""], "pretraining_compute": [""]}
    return pd.read_csv(directory / CELLS, keep_default_na=False, na_values=unknown)


def read_predictions(directory: Path) -> pd.DataFrame:
    """strategy, variant, label_budget, seed, progress, id, prediction, probabilities of a published folder.

    Raises:
        IntegrityError: a file is not what was published.
    """
    verify(directory)
    return pd.read_parquet(directory / PREDICTIONS)


def read_labelled(directory: Path) -> dict[tuple[int, int], list[list[str]]]:
    """Ids of the labelled rows by (label budget, seed): one draw, or one for each fold of cross-validation."""
    found: dict[tuple[int, int], list[list[str]]] = {}
    for row in json.loads((directory / LABELLED).read_text()):
        found.setdefault((row["label_budget"], row["seed"]), []).append(row["ids"])
    return found


def read_selection(directory: Path) -> dict[str, Any]:
    """The choice that was made on validation: strategy, scores."""
    selection: dict[str, Any] = json.loads((directory / SELECTION).read_text())
    return selection
