"""`make bench-scale`: cost curves over images, classes, image size, label budgets and strategies, on one thread.

Writes benchmarks/scale.json, scale.md and scale.png, and the README's part of them; with --quick a small version that
is shown. What was run stays in the folder (3.3 GB), so that a stopped bench goes on.
"""

import argparse
from pathlib import Path

from benchmarks.marked import write_pages
from benchmarks.scale.document import document
from benchmarks.scale.page import COMMAND, page, summary
from benchmarks.scale.picture import draw
from benchmarks.scale.points import QUICK, WHOLE
from benchmarks.scale.runs import RUNS, read_runs, run_all
from headstart.storage.publish import write_json

HERE = Path(__file__).parents[1]
README = HERE.parent / "README.md"
RESULTS = HERE / "scale.json"


def main() -> None:
    """Runs what was not run yet, and writes everything anew; with --table only what is made from scale.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few images and values: a minute or two")
    parser.add_argument("--table", action="store_true", help="only write the pages anew from benchmarks/scale.json")
    parser.add_argument("--fresh", action="store_true", help="run everything again; data and packs are kept")
    parser.add_argument("--folder", type=Path, default=HERE.parent / ".headstart" / "bench-scale", help="data and runs")
    options = parser.parse_args()
    if not options.table:
        folder = options.folder.resolve() / ("quick" if options.quick else "whole")
        folder.mkdir(parents=True, exist_ok=True)
        if options.fresh:
            (folder / RUNS).unlink(missing_ok=True)
        for run in run_all(folder, QUICK if options.quick else WHOLE):
            told = {name: round(value, 2) for name, value in run.figures.items() if isinstance(value, float)}
            print(run.point.name, told, flush=True)
        found = document(read_runs(folder))
        if options.quick:
            draw(found, folder / "scale.png")
            return print("QUICK: too few images for figures to be quoted.\n\n" + page(found, picture="scale.png"))
        write_json(RESULTS, found)
    write_tables()


def write_tables() -> None:
    """scale.md, its picture and the README's part, from scale.json."""
    write_pages(RESULTS, README, command=COMMAND, page=page, summary=summary, draw=draw)


if __name__ == "__main__":
    main()
