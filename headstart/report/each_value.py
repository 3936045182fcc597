"""The table of several values: how far each entrant is off each of them, in the value's own unit."""

from typing import Any

from headstart.report import words
from headstart.report.amounts import amounts_of
from headstart.report.inputs import ReportInputs
from headstart.report.summary import label, order

FIGURES = ("mae", "rmse", "r2", "coverage", "interval_width")


def value_rows(inputs: ReportInputs) -> list[dict[str, Any]]:
    """One row a value and strategy at the headline budget, means over seeds; none of one value and of classes."""
    table = inputs.comparison
    own = table[(table["split"] == "test") & (table["label_budget"] == inputs.headline_budget)]
    means = own.groupby(["strategy", "metric"])["value"].mean().to_dict()
    rows = []
    for name, part in inputs.measure.parts:
        amounts = amounts_of(part, "mae")
        for strategy in order(inputs):
            mae, rmse, r2, held, width = (means.get((strategy, f"{figure}.{name}")) for figure in FIGURES)
            rows.append(
                {
                    "value": name,
                    "strategy": label(strategy),
                    "chosen": strategy == inputs.chosen,
                    "mae": amounts.score(mae),
                    "rmse": amounts.score(rmse),
                    "r2": words.UNKNOWN if words.known(r2) is None else f"{r2:.2f}",
                    "coverage": words.percent(held),
                    "width": amounts.score(width),
                }
            )
    return rows
