"""`make recipes`: recipes of each strategy tried on real pairs, chosen on validation, written down for docs/methods.md.

Writes benchmarks/recipes.json, and its tables into docs/methods.md. One thread a process, one process a core.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.recipes.document import document
from benchmarks.recipes.pairs import DRAWS, PAIRS, SHOWN, Pair, Recipe, prepare
from benchmarks.recipes.shown import Shown, on_test
from benchmarks.recipes.study import CONFIRMED, DESIGNS, Outcome, Scores, confirm, search
from benchmarks.recipes.tables import METHODS, RESULTS, write_tables
from headstart.cells.job import Job
from headstart.cells.run import is_finished, read_summary, run_cell
from headstart.storage.publish import write_json
from headstart.training.accelerator import Accelerator
from tasks.workers import run_all


def main() -> None:
    """Runs the study; with --tables only its tables are written anew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__)
    parser.add_argument("--folder", type=Path, help="where finished cells are kept, so that a stopped study goes on")
    parser.add_argument("--tables", action="store_true", help="only write the tables of docs/methods.md anew")
    options = parser.parse_args()
    if not options.tables:
        with tempfile.TemporaryDirectory() as folder:
            write_json(RESULTS, study((options.folder or Path(folder)).resolve()))
    write_tables(METHODS, RESULTS)


def study(root: Path) -> dict[str, object]:
    """The whole study, its cells below `root`."""
    start = time.perf_counter()
    for _, name in run_all(partial(prepare, root=root), [*PAIRS, *SHOWN]):
        _say(start, f"prepared {name}")

    def cells(recipes: Sequence[tuple[str, Recipe]], seeds: Sequence[int]) -> list[Scores]:
        jobs = [
            [pair.jobs(root, name, recipe, seeds) for pair in PAIRS if pair.has_meaning(root, name)]
            for name, recipe in recipes
        ]
        _run([job for recipe in jobs for own in recipe for job in own])
        _say(start, f"{len(jobs)} recipes on {len(PAIRS)} pairs, draws {list(seeds)}")
        return [_scores(recipe) for recipe in jobs]

    outcomes = confirm(DESIGNS, search(DESIGNS, cells), cells)
    tested = {pair.name: _tested(pair, root, outcomes, range(DRAWS)) for pair in PAIRS}
    tested |= {pair.name: _tested(pair, root, outcomes, CONFIRMED) for pair in SHOWN}
    _say(start, "done")
    return document(outcomes, tested)


def _tested(pair: Pair, root: Path, outcomes: dict[str, Outcome], draws: Sequence[int]) -> dict[str, Shown]:
    """The kept recipes on these draws; the source model as it is beside them."""
    recipes: dict[str, Recipe] = {"source": {}} | {name: outcome.kept for name, outcome in outcomes.items()}
    jobs = {
        name: pair.jobs(root, name, recipe, draws) for name, recipe in recipes.items() if pair.has_meaning(root, name)
    }
    _run([job for own in jobs.values() for job in own])
    return on_test(jobs)


def _run(jobs: list[Job]) -> None:
    """Runs what is not finished, the longest first."""
    waiting = {job.key: job for job in jobs if not is_finished(job)}
    longest_first = sorted(waiting.values(), key=lambda job: -getattr(job.recipe, "work", 0))
    for _ in run_all(partial(run_cell, accelerator=Accelerator()), longest_first):
        pass


def _scores(jobs: list[list[Job]]) -> Scores:
    """Validation scores and losses of a recipe's cells, (pairs, seeds)."""
    summaries = [[read_summary(job) for job in own] for own in jobs]
    scores, losses = (
        np.array([[summary[name] for summary in own] for own in summaries])
        for name in ("validation_score", "validation_loss")
    )
    return scores, losses


def _say(start: float, what: str) -> None:
    print(f"{time.perf_counter() - start:6.0f} s  {what}", flush=True)


if __name__ == "__main__":
    main()
