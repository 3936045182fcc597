"""`python -m benchmarks.speed.choose`: the recipe of the bench's two fixed stages, chosen on images that no bench sees.

Each recipe is trained on the training images of two more seeds of each target, and scored on those of two further
ones. What is kept is in jobs.py (RECIPE); the table is written to benchmarks/recipe.json, and what stands there is not
run again.
"""

import argparse
import json
import tempfile
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.speed.child import Spec
from benchmarks.speed.data import STYLES, TARGETS, write_part
from benchmarks.speed.jobs import SEEDS, Recipe
from benchmarks.speed.ours import frozen
from headstart.storage.publish import write_json

HERE = Path(__file__).parents[1]
RESULTS = HERE / "recipe.json"
TRAINED, SCORED = (SEEDS, SEEDS + 1), (SEEDS + 2, SEEDS + 3)
EACH = 40  # images a class and seed
TRIED = [
    Recipe(epochs=epochs, learning_rate=rate, batch_size=size, views=4, label_smoothing=smoothing)
    for rates, smoothings in (((2e-3, 4e-3, 8e-3), (0.0,)), ((4e-3,), (0.1, 0.2)))
    for epochs, rate, size, smoothing in product((7, 10), rates, (32, 64), smoothings)
]


def main() -> None:
    options = _options()
    spec = Spec("", str(options.prepared), weights="", mean=(), std=(), scratch="", seed=0, epochs=100)
    found = json.loads(RESULTS.read_text())["tried"] if RESULTS.is_file() else []
    known = [{name: row[name] for name in asdict(TRIED[0])} for row in found]
    with tempfile.TemporaryDirectory() as folder:
        for target in TARGETS:
            _draw(Path(folder), target)
        for recipe in (recipe for recipe in TRIED if asdict(recipe) not in known):
            runs = [
                frozen(
                    replace(spec, data=folder, target=target, seed=seed, scratch=tempfile.mkdtemp(dir=folder)), recipe
                )
                for target, seed in product(TARGETS, TRAINED)
            ]
            found.append(asdict(recipe) | _means(runs))
            print(json.dumps(found[-1]), flush=True)
            write_json(RESULTS, {"trained_on": TRAINED, "scored_on": SCORED, "tried": found})


def _draw(folder: Path, target: str) -> None:
    """Training folders as the bench has them, and the images that are scored, in place of its test images."""
    for seed in TRAINED:
        write_part(folder / target / f"train-{seed}", f"{target}/train-{seed}", STYLES[target], EACH)
    for seed in SCORED:
        write_part(folder / target / "test", f"{target}/train-{seed}", STYLES[target], EACH, prefix=f"{seed}-")


def _means(runs: list[dict[str, Any]]) -> dict[str, float]:
    return {name: sum(run[name] for run in runs) / len(runs) for name in ("job", "accuracy")}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.choose", description=__doc__)
    prepared = HERE.parent / ".headstart" / "bench" / "whole" / "prepared"
    parser.add_argument("--prepared", type=Path, default=prepared, help="W, as `make bench` prepares it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
