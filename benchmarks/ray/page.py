"""The measurement as a page and as a picture."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt  # noqa: E402

COLOURS = {"local processes": "#4c72b0", "Ray": "#dd8452"}


def page(document: dict[str, Any]) -> str:
    """A table, and what it does not show."""
    rows = document["rows"]
    lines = [
        "# Cells an hour against workers",
        "",
        f"`{document['command']}` on {document['machine']}: {rows[0]['cells']} fine-tunings of the default pair, one "
        "thread a cell, by processes of this machine and by Ray's nodes in it (one; two of a core each; two that say "
        f"they have two), the faster of {document['rounds']} rounds. All weights are the same bytes. Starting: Ray's "
        "connection and Prefect's server, or the processes, and imports.",
        "",
        "| workers | by | cells an hour | against one local process | all cells | starting | load average |",
        "|---|---|---|---|---|---|---|",
    ]
    base = next(row for row in rows if row["workers"] == 1 and row["way"] == "local processes")["cells_per_hour"]
    lines += [
        f"| {row['workers']} | {row['way']} | {row['cells_per_hour']:,} | {row['cells_per_hour'] / base:.2f} | "
        f"{row['seconds']:.1f} s | {row['start']:.1f} s | {row['load']:.1f} |"
        for row in rows
    ]
    return "\n".join(
        [
            *lines,
            "",
            "![cells an hour against workers](results.png)",
            "",
            f"This machine has {document['cores']} cores: beyond as many workers there is nothing more to be had, and "
            "Ray's and Prefect's own processes share them with the cells. What machines with cores of their own bring "
            "was not measured; between them go the cells' files and two small messages a cell.",
            *_disturbed(document),
            "",
        ]
    )


def _disturbed(document: dict[str, Any]) -> list[str]:
    """That other work shared the cores, where the load was more than the measured processes'."""
    loads = [row["load"] - row["workers"] for row in document["rows"]]
    if max(loads) <= 1.5:
        return []
    return [
        "",
        f"**Not a quiet machine**: the load average was up to {max(loads):.1f} above what was measured. These figures "
        "say that cells go through, not how many workers are worth; run it again where nothing else is at work.",
    ]


def draw(document: dict[str, Any], path: Path) -> None:
    """Writes a PNG: a line for each way, and what twice the workers would bring at best."""
    figure, axes = plt.subplots(figsize=(6, 4))
    for way, colour in COLOURS.items():
        rows = [row for row in document["rows"] if row["way"] == way]
        axes.plot(
            [row["workers"] for row in rows], [row["cells_per_hour"] for row in rows], "o-", color=colour, label=way
        )
    counts = sorted({row["workers"] for row in document["rows"]})
    one = document["rows"][0]["cells_per_hour"]
    axes.plot(counts, [one * min(count, document["cores"]) for count in counts], "--", color="grey", label="at best")
    axes.set_xticks(counts)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("workers")
    axes.set_ylabel("cells an hour")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
