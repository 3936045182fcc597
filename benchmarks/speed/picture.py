"""The bench's picture: a bar for each peer's ratio, job by job, on a logarithmic scale."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt  # noqa: E402

from benchmarks.speed.jobs import OURS  # noqa: E402

COLOURS = {
    "torchvision": "#4c72b0",
    "timm": "#55a868",
    "lightning": "#8172b3",
    "fastai": "#dd8452",
    "sklearn": "#937860",
}


def draw(document: dict[str, Any], path: Path) -> None:
    """Writes a PNG; the line at 1 is Headstart."""
    rows = [row for row in document["measures"] if row["reach"]]
    figure, axes = plt.subplots(figsize=(9, 0.75 * len(rows) + 1))
    for place, row in enumerate(reversed(rows)):
        peers = [name for name in row["medians"] if name != OURS]
        height = 0.8 / len(peers)
        for number, name in enumerate(peers):
            low = place + 0.4 - (number + 0.5) * height
            axes.barh(low, row["ratios"][name] - 1, height, left=1, color=COLOURS[name])
        for name, least in row["reach"].items():
            axes.plot([least], [place], "|", color=COLOURS.get(name, "black"), markersize=22, markeredgewidth=2)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_xticks([0.5, 1, 2, 5, 10, 20, 50], ["0.5", "1", "2", "5", "10", "20", "50"])
    axes.set_yticks(range(len(rows)), [_label(row) for row in reversed(rows)])
    axes.set_xlabel("times as long as Headstart, one thread\nmarks: to reach (black: the best peer)")
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in COLOURS.values()]
    axes.legend(handles, list(COLOURS), loc="lower right", fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _label(row: dict[str, Any]) -> str:
    return f"{row['title']}{', ' * bool(row['target'])}{row['target']}"
