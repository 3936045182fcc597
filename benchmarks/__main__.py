"""`make bench`: Headstart and its peers at the same jobs, each in a process of its own, in turn, on one thread.

Writes benchmarks/results.json, results.md and results.png, and the README's part of them; with --quick a small version
of all jobs, shown and kept beside the runs. What was run stays in the folder, so that a stopped bench goes on.
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.marked import write_pages
from benchmarks.speed.document import document
from benchmarks.speed.jobs import QUICK, STARTS, WHOLE, Extent
from benchmarks.speed.page import COMMAND, page, summary
from benchmarks.speed.picture import draw
from benchmarks.speed.runs import RUNS, Sides, prepare, read_runs, run_all
from headstart.storage.publish import write_json, write_text

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
RESULTS = HERE / "results.json"


def main() -> None:
    """Runs what was not run yet, and writes everything anew; with --table only what is made from results.json."""
    options = _options()
    if not options.table:
        found = _bench(options, QUICK if options.quick else WHOLE)
        if options.quick:
            return _show(options.folder / "quick", found)
        write_json(RESULTS, found)
    write_tables()


def _bench(options: argparse.Namespace, extent: Extent) -> dict[str, Any]:
    extent = replace(extent, repeats=options.rounds or extent.repeats)
    folder = options.folder.resolve() / ("quick" if options.quick else "whole")
    sides = Sides(Path(sys.executable), options.peers_python.absolute())
    folder.mkdir(parents=True, exist_ok=True)
    if options.fresh:
        (folder / RUNS).unlink(missing_ok=True)
    spec = prepare(folder, extent, sides)
    for run in run_all(folder, spec, extent, sides, jobs=options.jobs, contenders=options.contenders):
        print(f"{' '.join(run.place)}, round {run.repeat + 1}: {run.wall:.1f} s", run.figures, flush=True)
    return document(read_runs(folder, extent), extent, sides)


def _options() -> argparse.Namespace:
    names = [job.name for job in WHOLE.jobs]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few images and epochs, one round: within five minutes")
    parser.add_argument("--table", action="store_true", help="only write the pages anew from benchmarks/results.json")
    parser.add_argument("--fresh", action="store_true", help="run everything again; data and W are kept")
    parser.add_argument("--rounds", type=int, help="how often at most, each time with another seed")
    parser.add_argument("--jobs", nargs="+", choices=names, default=names, help="only these")
    parser.add_argument("--contenders", nargs="+", choices=list(STARTS), default=list(STARTS), help="only these")
    parser.add_argument("--folder", type=Path, default=HERE.parent / ".headstart" / "bench", help="of data and runs")
    parser.add_argument(
        "--peers-python",
        type=Path,
        default=Path(os.environ.get("BENCH_PEERS_PYTHON", HERE.parent / ".venv.peers" / "bin" / "python")),
        help="the interpreter that has benchmarks/peers/requirements.txt",
    )
    return parser.parse_args()


def _show(folder: Path, found: dict[str, Any]) -> None:
    """A quick bench is beside the runs and on the screen: too little to be quoted."""
    text = "QUICK: too few images and rounds for figures to be quoted.\n\n" + page(found)
    write_json(folder / "results.json", found)
    write_text(folder / "results.md", text)
    print(text)


def write_tables() -> None:
    """results.md, its picture and the README's part, from results.json."""
    write_pages(RESULTS, README, command=COMMAND, page=page, summary=summary, draw=draw)


if __name__ == "__main__":
    main()
