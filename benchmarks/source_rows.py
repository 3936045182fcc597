"""`make source-rows`: what joint training is worth when the source has few rows, its stated weakness.

W is pretrained on so many MNIST digits, and scikit-learn's digits are learned with ten labels a class by fine-tuning
everything (`full`) and by training on both domains together (`joint_supervised`). Writes benchmarks/source_rows.json
and the table of it into docs/methods.md. One thread a process, one process a core.
"""

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.marked import with_part
from benchmarks.recipes.pairs import Pair, prepare
from benchmarks.recipes.shown import on_test
from headstart.cells.run import is_finished, run_cell
from headstart.storage.publish import write_json, write_text
from headstart.training.accelerator import Accelerator
from tasks.workers import run_all

RESULTS = Path(__file__).with_name("source_rows.json")
METHODS = Path(__file__).parents[1] / "docs" / "methods.md"
COMMAND = "make source-rows"

SOURCE, TARGET, LABELS = "mnist5k", "digits", 10
ROWS = (50, 200, 1000, 5000)  # of the source, evenly of its ten classes
DRAWS = range(5)
WAYS = ("full", "joint_supervised")


def main() -> None:
    """Runs the study; with --table only its table is written anew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.source_rows", description=__doc__)
    parser.add_argument("--table", action="store_true", help="only write the table of docs/methods.md anew")
    if not parser.parse_args().table:
        with tempfile.TemporaryDirectory() as folder:
            write_json(RESULTS, {"command": COMMAND, "rows": _study(Path(folder).resolve())})
    write_text(METHODS, with_table(METHODS.read_text(), json.loads(RESULTS.read_text())))


def _study(root: Path) -> list[dict[str, Any]]:
    found = []
    for count in ROWS:
        own = root / str(count)
        pair = Pair(SOURCE, TARGET, f"{count} rows of the source", LABELS, source_rows=count)
        prepare(pair, own)
        jobs = {name: pair.jobs(own, name, {}, DRAWS) for name in ("scratch", *WAYS)}
        waiting = [job for cells in jobs.values() for job in cells if not is_finished(job)]
        for _ in run_all(partial(run_cell, accelerator=Accelerator()), waiting):
            pass
        shown = on_test(jobs)
        found.append({"rows": count, **{name: [shown[name].score, *(shown[name].gain or ())] for name in jobs}})
        print(found[-1], flush=True)
    return found


def with_table(page: str, document: dict[str, Any]) -> str:
    """The page with the table of this document between its markers.

    Raises:
        ValueError: it has no markers.
    """
    lines = [
        f"Test accuracy on {TARGET}, %, at {LABELS} labels a class, mean of {len(DRAWS)} draws, by source rows; in",
        "brackets the gain over `scratch` with its 95% interval (exploratory).",
        "",
        f"| source rows | {' | '.join(f'`{name}`' for name in WAYS)} | `scratch` |",
        f"|---|{'---|' * (len(WAYS) + 1)}",
    ]
    for row in document["rows"]:
        cells = [f"{row[name][0]:.1f} ({row[name][1]:+.1f}, {row[name][2]:+.1f}..{row[name][3]:+.1f})" for name in WAYS]
        lines.append(f"| {row['rows']:,} | {' | '.join(cells)} | {row['scratch'][0]:.1f} |")
    return with_part(page, COMMAND, "\n".join(lines))


if __name__ == "__main__":
    main()
