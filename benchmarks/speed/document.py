"""benchmarks/results.json: what the runs came to, with the machine and the versions that they ran on."""

import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.speed.arithmetic import non_inferior, ratios, reached
from benchmarks.speed.jobs import ABSOLUTES, MEASURES, OURS, Extent, Measure
from benchmarks.speed.runs import Run, Sides

PACKAGES = ("torch", "torchvision", "timm", "lightning", "fastai", "scikit-learn", "pillow", "numpy")
VERSIONS = f"""
from importlib.metadata import PackageNotFoundError, version
for name in {PACKAGES}:
    try: print(name, version(name))
    except PackageNotFoundError: pass
"""


def document(runs: Sequence[Run], extent: Extent, sides: Sides) -> dict[str, Any]:
    """Everything that results.md and its picture are made from."""
    return {
        "machine": {"processor": _processor(), "system": platform.platform(), "python": platform.python_version()},
        "threads": 1,
        "share_of_wall": median(run.cpu / run.wall for run in runs),
        "precision": next((run.figures["precision"] for run in runs if "precision" in run.figures), "float32"),
        "repeats": extent.repeats,
        "sizes": asdict(extent.sizes),
        "pretraining_epochs": extent.pretraining_epochs,
        "versions": {"headstart": _versions(sides.ours), "peers": _versions(sides.peers)},
        "measures": [row for measure in MEASURES for row in _rows(measure, runs)],
        "processes": _processes(runs),
        "absolute": _absolute(runs),
    }


def _rows(measure: Measure, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """One row a target: medians, ratios, what was to be reached, accuracies and what is told of them."""
    own = [run for run in runs if run.job == measure.job]
    found = []
    for target in dict.fromkeys(run.target for run in own):
        here = [run for run in own if run.target == target and measure.figure in run.figures]
        values = {name: [run.figures[measure.figure] for run in here if run.contender == name] for name in _names(here)}
        if OURS not in values or len(values) < 2:
            continue
        to_peers = ratios(values)
        found.append(
            asdict(measure)
            | {
                "target": target,
                "medians": {name: median(own) for name, own in values.items()},
                "runs": {name: len(own) for name, own in values.items()},
                "ratios": to_peers,
                "reached": reached(to_peers, measure.reach) if measure.reach else None,
                "accuracy": _accuracies(here, measure.accuracy),
            }
        )
    return found


def _accuracies(runs: Sequence[Run], figure: str) -> dict[str, Any]:
    """Mean over seeds of each contender; of a peer also whether ours is no lower."""
    by_seed = {
        name: {run.repeat: run.figures[figure] for run in runs if run.contender == name} for name in _names(runs)
        if any(figure in run.figures for run in runs)
    }  # fmt: skip
    return {
        name: {"mean": mean(own.values()), "seeds": len(own)}
        | ({} if name == OURS else {"non_inferior": asdict(non_inferior(by_seed[OURS], own))})
        for name, own in by_seed.items()
    }


def _processes(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Medians of whole processes, imports and scoring included."""
    return [
        {
            "job": job,
            "target": target,
            "contender": contender,
            "runs": len(own),
            **{name: median(getattr(run, name) for run in own) for name in ("cpu", "wall", "peak_mb")},
        }
        for (job, target, contender), group in groupby(sorted(runs, key=_place), key=_place)
        for own in [list(group)]
    ]


def _place(run: Run) -> tuple[str, str, str]:
    return run.place


def _absolute(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What is to be reached by itself, beside no peer: medians."""
    found = []
    for own in ABSOLUTES:
        values = [
            run.figures[own.figure]
            for run in runs
            if run.job == own.job and own.figure in run.figures and run.contender == OURS
        ]
        if values:
            value = median(values)
            met = (own.least is None or value >= own.least) and (own.most is None or value <= own.most)
            asked = own.least is not None or own.most is not None
            found.append(asdict(own) | {"value": value, "reached": met if asked else None})
    return found


def _names(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(run.contender for run in runs))


def _versions(python: Path) -> dict[str, str]:
    said = subprocess.run([str(python), "-c", VERSIONS], capture_output=True, text=True, check=True).stdout
    return dict(line.split() for line in said.splitlines())


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
