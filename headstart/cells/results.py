"""Reading what finetune and select published. Torch-free: evaluate and report need no more."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from headstart.cells.job import PREDICTIONS
from headstart.entrants import Entrant
from headstart.storage.publish import verify

CELLS = "cells.csv"
LABELLED = "labelled.json"
SELECTION = "selection.json"
ROUNDS = "rounds.json"
SPEED = "speed.json"


def read_cells(directory: Path) -> pd.DataFrame:
    """cells.csv of a published folder; pretraining_compute is nan where nobody knows what W took."""
    unknown = {"learning_rate": [""], "pretraining_compute": [""]}
    return pd.read_csv(directory / CELLS, keep_default_na=False, na_values=unknown)


def read_predictions(directory: Path) -> pd.DataFrame:
    """strategy, variant, label_budget, seed, progress, id, prediction, probabilities, low, high and temperature.

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


def read_rounds(directory: Path) -> dict[str, Any]:
    """What the step remedy came to: standing (in words), rounds (a row each), ways (by entrant), beside (folders)."""
    rounds: dict[str, Any] = json.loads((directory / ROUNDS).read_text())
    return rounds


def with_remedies(strategies: Sequence[str], remedies: Sequence[str]) -> tuple[str, ...]:
    """The strategies of a run with those that remedies brought in, in the order of their coming."""
    return tuple(dict.fromkeys((*strategies, *remedies)))


def read_speed(directory: Path) -> dict[str, Any]:
    """What a delivered model's predictions were measured at, with strategy (the entrant), label_budget and seed.

    label_budget is the headline's where the model was trained on all labelled rows; seconds are its training's.
    """
    speed: dict[str, Any] = json.loads((directory / SPEED).read_text())
    return speed


def rank_entrants(cells: pd.DataFrame, strategies: Sequence[str] = ()) -> list[str]:
    """The entrants of these cells, the best first: by mean validation score, then by the lower mean validation loss.

    Then by their strategies' place in `strategies`, then as they come. Means are rounded: a mean's last bit depends on
    how the seeds share what is right.
    """
    means = cells.groupby("strategy", sort=False)[["validation_score", "validation_loss"]].mean().round(9)
    places = [strategies.index(Entrant.parse(str(name)).strategy) if strategies else 0 for name in means.index]
    order = means.assign(score=-means["validation_score"], place=places)
    return [str(name) for name in order.sort_values(["score", "validation_loss", "place"], kind="stable").index]


def read_selection(directory: Path) -> dict[str, Any]:
    """The choice that was made on validation: entrant (strategy and source), scores."""
    selection: dict[str, Any] = json.loads((directory / SELECTION).read_text())
    return selection
