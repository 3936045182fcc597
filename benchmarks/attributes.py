"""`make attributes`: what a source of attributes is worth, and how well classes are told that have no label.

W is pretrained on what DejaVu's characters look like (`glyph_attributes`, no classes), and small letters of other fonts
(`glyphs`) are learned with four labels a class. `eszsl` does without the labels of five letters. Writes
benchmarks/attributes.json and the tables of it into docs/methods.md. One thread a process, one process a core.
"""

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.marked import with_part
from benchmarks.recipes.pairs import Pair, Recipe, prepare
from benchmarks.recipes.shown import on_test
from headstart.cells.job import PREDICTIONS, Job
from headstart.cells.run import is_finished, run_cell
from headstart.datasets.pack import read_pack_card, read_test_labels
from headstart.evaluation.metrics import seen_and_unseen
from headstart.storage.publish import write_json, write_text
from headstart.strategies.settings import TuneRecipe
from headstart.strategies.table import STRATEGIES
from headstart.training.accelerator import Accelerator
from tasks.workers import run_all

RESULTS = Path(__file__).with_name("attributes.json")
METHODS = Path(__file__).parents[1] / "docs" / "methods.md"
COMMAND = "make attributes"

PAIR = Pair("glyph_attributes", "glyphs", "small letters", 4, unseen=("e", "j", "o", "t", "y"))  # every fifth
DRAWS = range(5)
WAYS = ("full", "fixmatch", "joint_supervised", "joint_attributes", "linear_probe", "source", "scratch")
STEPS = 600  # as scratch has: 26 classes are not learned in 200, on validation
DESCRIBED = ("eszsl", "linear_probe", "full")  # the others see labels of every class


def main() -> None:
    """Runs the study; with --table only its tables are written anew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attributes", description=__doc__)
    parser.add_argument("--table", action="store_true", help="only write the tables of docs/methods.md anew")
    if not parser.parse_args().table:
        with tempfile.TemporaryDirectory() as folder:
            write_json(RESULTS, {"command": COMMAND, **_study(Path(folder).resolve())})
    write_text(METHODS, with_tables(METHODS.read_text(), json.loads(RESULTS.read_text())))


def _study(root: Path) -> dict[str, Any]:
    prepare(PAIR, root)
    jobs = {name: PAIR.jobs(root, name, _recipe(name), DRAWS) for name in {*WAYS, *DESCRIBED}}
    waiting = [job for own in jobs.values() for job in own if not is_finished(job)]
    waiting.sort(key=lambda job: -getattr(job.recipe, "work", 0))
    for _ in run_all(partial(run_cell, accelerator=Accelerator()), waiting):
        pass
    shown = on_test({name: jobs[name] for name in WAYS})
    return {
        "ways": {name: [own.score, *(own.gain or ())] for name, own in shown.items()},
        "unseen": {name: _seen_and_unseen(jobs[name]) for name in DESCRIBED},
    }


def _recipe(name: str) -> Recipe:
    return {"steps": STEPS} if issubclass(STRATEGIES.get(name).recipe, TuneRecipe) else {}


def _seen_and_unseen(jobs: list[Job]) -> dict[str, list[float]]:
    """Mean and s.d. over the draws of each score, in %."""
    pack = Path(jobs[0].pack)
    number = {name: place for place, name in enumerate(read_pack_card(pack).classes)}
    truth = read_test_labels(pack).set_index("id")["label"].map(number)
    tables = [pd.read_parquet(job.directory / PREDICTIONS).query("progress == 1").set_index("id") for job in jobs]
    unseen = {number[name] for name in PAIR.unseen}
    found = pd.DataFrame(
        [
            seen_and_unseen(truth.to_numpy(), own["prediction"].loc[truth.index].map(number).to_numpy(), unseen)
            for own in tables
        ]
    )
    return {str(name): [100 * float(np.mean(own)), 100 * float(np.std(own, ddof=1))] for name, own in found.items()}


def with_tables(page: str, document: dict[str, Any]) -> str:
    """The page with the tables of this document between their markers.

    Raises:
        ValueError: it has no markers.
    """
    return with_part(page, COMMAND, f"{_ways(document['ways'])}\n\n{_unseen(document['unseen'])}")


def _ways(found: dict[str, list[float]]) -> str:
    lines = [
        f"Test accuracy on `{PAIR.target}`, %, from a W of `{PAIR.source}`, at {PAIR.label_budget} labels a class and",
        f"{STEPS} steps, mean of {len(DRAWS)} draws, and the gain over `scratch` with its 95% interval (exploratory).",
        "",
        "| strategy | accuracy | gain |",
        "|---|---|---|",
    ]
    for name in WAYS:
        score, *gain = found[name]
        lines.append(f"| `{name}` | {score:.1f} | {'{:+.1f}, {:+.1f}..{:+.1f}'.format(*gain) if gain else ''} |")
    return "\n".join(lines)


def _unseen(found: dict[str, dict[str, list[float]]]) -> str:
    lines = [
        f"Accuracy by class on `{PAIR.target}`, %, any of 26 letters being possible, mean and s.d. of {len(DRAWS)}",
        f"draws of {PAIR.label_budget} labels a class; `eszsl` has none of {', '.join(PAIR.unseen)}, the others have",
        "labels of all.",
        "",
        "| strategy | the 21 seen letters | the 5 unseen ones | harmonic mean |",
        "|---|---|---|---|",
    ]
    for name in DESCRIBED:
        cells = ["{:.1f} +- {:.1f}".format(*found[name][score]) for score in ("seen", "unseen", "harmonic_mean")]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
