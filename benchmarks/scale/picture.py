"""The picture of the curves: CPU seconds and peak memory over what is varied, both axes logarithmic."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt  # noqa: E402

from benchmarks.scale.page import AXES, CURVES, JOBS  # noqa: E402


def draw(document: dict[str, Any], path: Path) -> None:
    """Writes a PNG: a column for each curve, time above memory."""
    names = [name for name in CURVES if any(own["curve"] == name for own in document["curves"])]
    figure, axes = plt.subplots(2, len(names), figsize=(3.4 * len(names), 6.4), squeeze=False, sharey="row")
    for column, name in enumerate(names):
        for row, cost in enumerate(("cpu", "resident")):
            panel = axes[row][column]
            for own in document["curves"]:
                if own["curve"] == name:
                    costs = [figures[cost] for figures in own["figures"]]
                    panel.plot(own["values"], costs, "o-", markersize=3, label=JOBS.get(own["job"], own["job"]))
            panel.set_xscale("log")
            panel.set_yscale("log")
            values = sorted({value for own in document["curves"] if own["curve"] == name for value in own["values"]})
            panel.set_xticks(values, [f"{value:,}" for value in values], fontsize="x-small")
            panel.set_xticks([], minor=True)
            panel.grid(alpha=0.3)
        axes[0][column].set_title(AXES[name][0], fontsize="medium")
        axes[0][column].legend(fontsize="xx-small")
        axes[1][column].set_xlabel(AXES[name][1])
        axes[1][column].set_ylim(100, 10_000)
    axes[0][0].set_ylabel("CPU seconds")
    axes[1][0].set_ylabel("peak resident memory, MiB")
    figure.tight_layout()
    figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)
