"""benchmarks/scale.json: the curves with their exponents, and the machine that they were measured on."""

import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.scale.fit import exponent
from benchmarks.scale.points import STREAMED, Point
from benchmarks.scale.runs import Run

PACKAGES = ("torch", "numpy", "pillow", "pandas", "pyarrow")
COSTS = ("cpu", "resident", "anonymous")


def document(runs: Sequence[Run]) -> dict[str, Any]:
    """Everything that scale.md and its picture are made from."""
    streamed = [run for run in runs if run.point.curve == STREAMED]
    curves = [run for run in runs if run.point.curve != STREAMED]
    return {
        "machine": _machine(),
        "share_of_wall": median(run.figures["cpu"] / run.figures["wall"] for run in curves),
        "before": median(run.figures["before"] for run in curves),
        "curves": [
            _curve(name, job, list(own))
            for (name, job), own in groupby(
                sorted(curves, key=_place), key=lambda run: (run.point.curve, run.point.job)
            )
        ],
        "streamed": streamed[-1].figures if streamed else None,
    }


def _machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": len(names),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def _place(run: Run) -> tuple[str, str, int]:
    return run.point.curve, run.point.job, run.point.value


def _curve(name: str, job: str, runs: Sequence[Run]) -> dict[str, Any]:
    """One job along what is varied; exponents where there are two values."""
    values = [run.point.value for run in runs]
    fitted = {}
    if len(set(values)) > 1:
        fitted = {cost: asdict(exponent(values, [run.figures[cost] for run in runs])) for cost in COSTS}
    return {"curve": name, "job": job, "fixed": _fixed(runs[0].point), "values": values, "exponents": fitted,
            "figures": [run.figures for run in runs]}  # fmt: skip


def _fixed(point: Point) -> dict[str, int]:
    """What the curve does not vary."""
    varied = {"images": "images", "target images": "images", "classes": "classes", "image size": "side",
              "label budget": "labels"}  # fmt: skip
    own = {name: getattr(point, name) for name in ("images", "classes", "side", "labels")}
    return {name: value for name, value in own.items() if name != varied.get(point.curve)}
