"""What the study leaves behind: benchmarks/recipes.json, from which the tables of docs/methods.md are made."""

from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

from benchmarks.recipes.pairs import PAIRS, SHOWN, Recipe
from benchmarks.recipes.shown import Shown
from benchmarks.recipes.study import CONFIRMED, SEARCHED, Difference, Outcome, Trial
from headstart.evaluation.intervals import Floats

DECIMALS = 5


def document(outcomes: dict[str, Outcome], tested: dict[str, dict[str, Shown]]) -> dict[str, Any]:
    """Everything as plain numbers: scores are fractions, or of values the error in their unit."""
    return {
        "command": "make recipes",
        "versions": {name: version(name) for name in ("torch", "torchvision", "scikit-learn", "mlxtend", "matplotlib")},
        "pairs": [{"name": pair.name, "line": pair.line, "label_budget": pair.label_budget} for pair in PAIRS],
        "shown": [{"name": pair.name, "line": pair.line, "label_budget": pair.label_budget} for pair in SHOWN],
        "draws": {"searched": list(SEARCHED), "confirmed": list(CONFIRMED)},
        "strategies": {name: _outcome(outcome) for name, outcome in outcomes.items()},
        "test": {pair: {name: asdict(shown) for name, shown in own.items()} for pair, own in tested.items()},
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "start": _plain(outcome.trials[0].recipe),
        "found": _plain(outcome.found),
        "kept": _plain(outcome.kept),
        "gain": _interval(outcome.gain),
        "loss": _interval(outcome.loss),
        "trials": [_trial(trial) for trial in outcome.trials],
    }


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "factor": trial.factor,
        "recipe": _plain(trial.recipe),
        "scores": _rounded(trial.scores),
        "losses": _rounded(trial.losses),
    }


def _plain(recipe: Recipe) -> Recipe:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in recipe.items()}


def _interval(difference: Difference | None) -> list[float] | None:
    return None if difference is None else _rounded(np.array([difference.estimate, difference.low, difference.high]))


def _rounded(values: Floats) -> Any:
    return values.round(DECIMALS).tolist()
