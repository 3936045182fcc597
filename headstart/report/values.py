"""Figures of values: predictions against truths, and maps of rows in the plane by their value."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from headstart.report import words
from headstart.report.amounts import Amounts
from headstart.report.canvas import COLOURS, Drawing, Look, draw
from headstart.report.maps import ValueMap
from headstart.report.summary import label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_POINTS = 600  # more only cover each other and make the page heavy
_COLOUR_MAP = "cividis"  # the same order of lightness for every reader


def scatter_figure(strategy: str, table: pd.DataFrame, look: Look, amounts: Amounts, *, value: str = "") -> Drawing:
    """Predicted against true values; on the diagonal they are equal.

    table: truth, prediction: a row a test row and seed. Large ones are thinned to evenly spaced rows. value: the name
    of one of several.
    """
    kept = table.iloc[np.linspace(0, len(table) - 1, min(len(table), _MOST_POINTS)).round().astype(int)]

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        ends = (float(table["truth"].min()), float(table["truth"].max()))
        axes.plot(ends, ends, color=COLOURS["muted"], linewidth=1.2, zorder=3)
        axes.plot(kept["truth"], kept["prediction"], look.marker, color=look.colour, markersize=4, alpha=0.4, mew=0)
        axes.set_xlabel(f"true, {amounts.unit}" if amounts.unit else "true")
        axes.set_ylabel("predicted")
        axes.grid(linewidth=0.8)

    error = amounts.score((table["truth"] - table["prediction"]).abs().mean())
    what = f"{value}: values" if value else "Values"
    alt = f"{what} predicted by {label(strategy)} against the true ones; on average they are off by {error}."
    return draw(f"scatter-{plain(strategy)}{'-' * bool(value)}{plain(value)}", alt, paint, size=(380, 380))


def plain(name: str) -> str:
    """A name as it can be part of a file's."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def errors_said(table: pd.DataFrame, amounts: Amounts) -> str:
    """How errors are spread: the median, the 90th percentile, and how far predictions lie off on average."""
    errors = table["prediction"] - table["truth"]
    median, most = (amounts.score(errors.abs().quantile(share)) for share in (0.5, 0.9))
    mean = amounts.amount(errors.mean())
    return f"Half of the errors are below {median}, nine in ten below {most}; their mean is {mean}."


def value_map_figure(name: str, title: str, found: ValueMap, amounts: Amounts) -> Drawing:
    """Scatter of a map's points, coloured by their value."""

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        cloud = axes.scatter(found.points[:, 0], found.points[:, 1], c=found.values, cmap=_COLOUR_MAP, s=16, alpha=0.8)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(f"first component ({found.shares[0]:.0%} of the variance)")
        axes.set_ylabel(f"second component ({found.shares[1]:.0%})")
        figure.colorbar(cloud, ax=axes, label=amounts.unit, shrink=0.8)

    alt = (
        f"Map of {title}: {words.counted(len(found.values), 'target row')} by value on two principal components; "
        f"the nearest neighbours are off by {amounts.score(found.error)}."
    )
    return draw(name, alt, paint, size=(460, 420))
