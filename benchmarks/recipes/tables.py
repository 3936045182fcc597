"""The study's tables in docs/methods.md, between two markers, made from benchmarks/recipes.json."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.marked import with_part
from headstart.storage.publish import write_text

RESULTS = Path(__file__).parents[1] / "recipes.json"
METHODS = Path(__file__).parents[2] / "docs" / "methods.md"
COMMAND = "make recipes"

Document = dict[str, Any]


def write_tables(page: Path, results: Path) -> None:
    """Replaces what stands between the markers."""
    write_text(page, with_tables(page.read_text(), json.loads(results.read_text())))


def with_tables(page: str, document: Document) -> str:
    """The page with the tables of this document.

    Raises:
        ValueError: it has no markers.
    """
    return with_part(page, COMMAND, tables(document))


def tables(document: Document) -> str:
    return "\n\n".join([_trials(document), _confirmations(document), _test(document)])


def _trials(document: Document) -> str:
    """Every recipe against where its search began, on the draws of the search."""
    draws = _list(document["draws"]["searched"])
    lines = [
        f"What was tried, on draws {draws} of the labels. Validation accuracy, mean over the pairs and draws; against",
        "the start: points of accuracy, nats of validation loss (lower is better).",
        "",
        "| strategy | recipe | accuracy, % | against the start | loss |",
        "|---|---|---|---|---|",
    ]
    for name, own in document["strategies"].items():
        first = np.array(own["trials"][0]["scores"]), np.array(own["trials"][0]["losses"])
        for number, trial in enumerate(own["trials"]):
            scores, losses = np.array(trial["scores"]), np.array(trial["losses"])
            words = _recipe(trial["recipe"]) if not number else _changed(trial, own["trials"][0]["recipe"])
            gain = f"{100 * (scores - first[0]).mean():+.1f} | {(losses - first[1]).mean():+.3f}" if number else "| "
            strategy = f"`{name}`" if not number else ""
            found = " (found)" if trial["recipe"] == own["found"] else ""
            lines.append(f"| {strategy} | {words}{found} | {100 * scores.mean():.1f} | {gain} |")
    return "\n".join(lines)


def _confirmations(document: Document) -> str:
    """What was found against where the search began, on fresh draws."""
    draws = _list(document["draws"]["confirmed"])
    lines = [
        f"What was found against where the search began, on the fresh draws {draws},",
        "with 95% intervals (for these pairs, and new draws):",
        "",
        "| strategy | began with | found | accuracy, points | loss, nats | kept |",
        "|---|---|---|---|---|---|",
    ]
    for name, own in document["strategies"].items():
        kept = "what was found" if own["kept"] != own["start"] else "as it was"
        found = _changed({"recipe": own["found"]}, own["start"]) or "the same"
        gain = _points(own["gain"]) if own["gain"] else "within the margin" * (own["found"] != own["start"])
        loss = _interval(own["loss"], "+.3f") if own["loss"] else ""
        lines.append(f"| `{name}` | {_recipe(own['start'])} | {found} | {gain} | {loss} | {kept} |")
    return "\n".join(lines)


def _test(document: Document) -> str:
    """The kept recipes on test rows."""
    metrics = {own["name"]: "accuracy, %" for own in document["pairs"]}
    metrics |= {own["name"]: "MAE, degrees" for own in document["shown"]}
    heads = [f"{pair} ({metrics[pair]})" for pair in document["test"]]
    lines = [
        "Test rows, opened after the choice: the kept recipes, mean of six draws (of values three), and the gain over",
        "`scratch` with its 95% interval (rows and seeds crossed, as in the verdict; exploratory). Positive is better,",
        "of errors too. Some have no meaning for a pair: they need classes, or classes that both domains have.",
        "",
        f"| strategy | {' | '.join(heads)} |",
        f"|---|{'---|' * len(heads)}",
    ]
    for name in document["strategies"] | {"source": None}:
        cells = [_tested(own.get(name)) for own in document["test"].values()]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _tested(shown: dict[str, Any] | None) -> str:
    if shown is None:
        return "no meaning"
    gain = f" ({_interval(shown['gain'], '+.1f')})" if shown["gain"] else ""
    return f"{shown['score']:.1f}{gain}"


def _recipe(recipe: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in recipe.items())


def _changed(trial: dict[str, Any], start: dict[str, Any]) -> str:
    """What of a recipe is not as in the start."""
    return _recipe({name: value for name, value in trial["recipe"].items() if value != start[name]})


def _value(value: Any) -> str:
    return "/".join(f"{part:g}" for part in value) if isinstance(value, list) else f"{value:g}"


def _points(interval: list[float]) -> str:
    return _interval([100 * value for value in interval], "+.1f")


def _interval(values: list[float], form: str) -> str:
    estimate, low, high = values
    return f"{estimate:{form}}, {low:{form}}..{high:{form}}"


def _list(numbers: list[int]) -> str:
    return f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
