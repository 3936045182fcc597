"""Figures by class: confusion matrices, and maps of rows in the plane."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headstart.report import words
from headstart.report.canvas import COLOURS, Drawing, Look, class_look, draw, tip
from headstart.report.maps import Map
from headstart.report.summary import label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_NAMES = 20  # classes that are still named in a figure
_LONGEST_NAME = 14  # characters


def confusion_figure(strategy: str, matrix: NDArray[np.float64], classes: Sequence[str]) -> Drawing:
    """One confusion matrix, hits in blue and errors in vermillion.

    matrix: (classes, classes), the share of each true class (row) given each class (column).
    """
    strongest = 0.62 if len(classes) <= _MOST_NAMES else 1.0  # ink on the colour must stay legible

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.imshow(_tinted(matrix, strongest), interpolation="none", aspect="equal")
        for spine in axes.spines.values():
            spine.set_visible(True)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        if len(classes) <= _MOST_NAMES:
            _name_classes(axes, classes)
            _write_shares(axes, matrix)
        else:
            axes.set_xticks([])
            axes.set_yticks([])

    hits = words.percent(float(np.diag(matrix).mean()))
    alt = f"Confusion matrix of {label(strategy)} over {len(classes)} classes; on average {hits} of a class are right."
    return draw(f"confusion-{_file_name(strategy)}", alt, paint, size=(380, 380))


def _tinted(matrix: NDArray[np.float64], strongest: float) -> NDArray[np.float64]:
    """RGBA (classes, classes, 4): the colour says hit or error, the opacity, up to `strongest`, how many."""
    from matplotlib.colors import to_rgb

    hit = np.eye(len(matrix), dtype=bool)
    image = np.zeros((*matrix.shape, 4))
    image[hit, :3], image[~hit, :3] = to_rgb(COLOURS["blue"]), to_rgb(COLOURS["vermillion"])
    # errors are few: the root makes one in twenty visible
    image[..., 3] = strongest * np.where(hit, matrix, np.sqrt(matrix))
    return image


def _name_classes(axes: "Axes", classes: Sequence[str]) -> None:
    names = [words.shorten(name, _LONGEST_NAME) for name in classes]
    small = 11 if len(classes) <= 12 else 8
    long = max(len(name) for name in names) > 2
    axes.set_xticks(range(len(names)), names, fontsize=small, rotation=90 if long else 0)
    axes.set_yticks(range(len(names)), names, fontsize=small)
    axes.tick_params(length=0)


def _write_shares(axes: "Axes", matrix: NDArray[np.float64]) -> None:
    small = 10 if len(matrix) <= 12 else 6.5
    for (row, column), share in np.ndenumerate(matrix):
        if round(100 * share) > 0:
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=small, in_layout=False)


def map_figure(name: str, title: str, found: Map, classes: Sequence[str]) -> Drawing:
    """Scatter of a map's points by class, each class named at the middle of its points."""
    alt = (
        f"Map of {title}: {words.counted(len(found.labels), 'target row')} by class on two principal components; "
        f"nearest-neighbour accuracy {words.percent(found.accuracy)}."
    )
    return draw_clouds(name, alt, found.points, found.labels, classes, found.shares)


def draw_clouds(
    name: str,
    alt: str,
    points: NDArray[np.float64],
    labels: Sequence[str],
    names: Sequence[str],
    shares: tuple[float, float],
) -> Drawing:
    """Rows on two principal components by what they are, each kind named at the middle of its points.

    points (rows, 2), labels (rows,) out of `names`; shares: of the variance on either axis.
    """

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        given = np.asarray(labels)
        for place, each in enumerate(names):
            own = points[given == each]
            if len(own):
                _cloud(axes, own, each, class_look(place))
        if len(names) <= _MOST_NAMES:
            _name_clouds(axes, points, given, names)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(f"first component ({shares[0]:.0%} of the variance)")
        axes.set_ylabel(f"second component ({shares[1]:.0%})")

    return draw(name, alt, paint, size=(460, 420))


def _cloud(axes: "Axes", points: NDArray[np.float64], name: str, look: Look) -> None:
    edge = COLOURS["muted" if look.colour == COLOURS["yellow"] else "card"]  # yellow alone is lost on white
    (line,) = axes.plot(
        points[:, 0],
        points[:, 1],
        look.marker,
        color=look.colour,
        markersize=5,
        markeredgecolor=edge,
        markeredgewidth=0.5,
        alpha=0.8,
    )
    tip(line, name)


def _name_clouds(axes: "Axes", points: NDArray[np.float64], labels: NDArray[np.str_], names: Sequence[str]) -> None:
    box = {"boxstyle": "round,pad=0.25", "facecolor": COLOURS["card"], "alpha": 0.82, "linewidth": 0}
    for name in names:
        own = points[labels == name]
        if len(own):
            x, y = np.median(own, axis=0)
            text = words.shorten(name, _LONGEST_NAME)
            axes.text(x, y, text, ha="center", va="center", weight="bold", bbox=box, in_layout=False)


def _file_name(strategy: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in strategy)
