"""The section on the data's quality: what to look at, labels that may be wrong with their pictures, and the shift."""

from typing import Any

from headstart.evaluation.quality import Quality, lines
from headstart.report import words
from headstart.report.inputs import ReportInputs
from headstart.report.pictures import Shot, shot


def said(document: Quality) -> list[str]:
    """A line for each thing that is worth a look."""
    return [words.sentence(line) for line in lines(document)]


def suspects(inputs: ReportInputs) -> list[Shot]:
    """The rows whose labels may be wrong, with what they were given and what the others say."""
    found = inputs.quality.suspects if inputs.quality else ()
    return [
        shot(
            inputs.quality_images.get(row.id),
            f"an image labelled {row.given}",
            (f"given {words.shorten(row.given, 24)}", f"others say {words.shorten(row.likely, 24)}"),
        )
        for row in found
    ]


def balance(document: Quality) -> str:
    """How even the classes are; "" where there are none."""
    if document.balance is None:
        return ""
    (small, few), (large, many) = document.balance.smallest, document.balance.largest
    return (
        f"Classes have {few:,} rows ({words.shorten(small, 24)}) to {many:,} ({words.shorten(large, 24)}), as "
        f"uncertain as {document.balance.effective:.1f} even ones."
    )


def shifts(document: Quality) -> list[dict[str, Any]]:
    """One row for each source."""
    return [
        {
            "source": shift.source,
            "auc": f"{shift.auc:.2f}",
            "interval": f"{shift.low:.2f} to {shift.high:.2f}",
            "traits": {name: " and ".join(f"{value:.2f}" for value in both) for name, both in shift.traits.items()},
        }
        for shift in document.shifts
    ]
