"""Figures of intervals: the pre-named contrasts, and the forest plot of every strategy minus scratch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headstart.entrants import CONTROL
from headstart.report import words
from headstart.report.amounts import Amounts
from headstart.report.canvas import COLOURS, HALF, PHONE, Drawing, Look, draw, looks, tip
from headstart.report.inputs import ReportInputs
from headstart.report.summary import contrasts, label, order

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FRAME, _ROW = 70, 48  # heights in CSS pixels: of the axis and its texts, and of one interval
_CONTRAST_LOOKS = [Look(COLOURS["blue"], "o"), Look(COLOURS["green"], "^"), Look(COLOURS["muted"], "D")]


@dataclass(frozen=True)
class _Row:
    """One line of a figure of intervals."""

    text: str
    difference: float
    low: float | None
    high: float | None
    look: Look
    strong: bool
    amounts: Amounts

    @property
    def numbers(self) -> str:
        between = self.amounts.interval(self.low, self.high)
        return self.amounts.difference(self.difference) + ("" if between == words.UNKNOWN else f" ({between})")


def contrast_figure(inputs: ReportInputs) -> Drawing | None:
    """The pre-named contrasts with their intervals; None where no difference is known."""
    rows = [
        _Row(
            f"against {contrast.against}: {contrast.verdict}",
            contrast.difference,
            contrast.low,
            contrast.high,
            look,
            strong=contrast.against == CONTROL,
            amounts=inputs.amounts,
        )
        for contrast, look in zip(contrasts(inputs), _CONTRAST_LOOKS, strict=False)
        if contrast.difference is not None
    ]
    if not rows:
        return None
    alt = f"{label(inputs.chosen)} against each rival, in {inputs.amounts.axis}. {_said(rows)}"
    height = _FRAME + _ROW * len(rows)
    return draw("contrasts", alt, _intervals(rows, inputs), size=(880, height), narrow=(PHONE[0], height))


def difference_figure(inputs: ReportInputs) -> Drawing | None:
    """Forest plot of every strategy minus scratch, the best on top; None without any."""
    table = inputs.differences.dropna(subset=["difference"])
    table = table[table["strategy"] != CONTROL].sort_values("difference", ascending=False, kind="stable")
    look = looks(order(inputs), inputs.chosen)
    rows = [
        _Row(
            label(str(entry["strategy"])),
            float(entry["difference"]),
            words.known(entry["low"]),
            words.known(entry["high"]),
            look.get(str(entry["strategy"]), Look(COLOURS["muted"], "o")),
            strong=entry["strategy"] == inputs.chosen,
            amounts=inputs.amounts,
        )
        for entry in table.to_dict("records")
    ]
    if not rows:
        return None
    alt = f"Each strategy minus scratch, in {inputs.amounts.axis}. {_said(rows)}"
    height = _FRAME + _ROW * len(rows)
    return draw(
        "differences",
        alt,
        _intervals(rows, inputs),
        size=(HALF[0], max(HALF[1], height)),
        narrow=(PHONE[0], height),
    )


def _said(rows: Sequence[_Row]) -> str:
    return "; ".join(f"{row.text} {row.numbers}" for row in rows) + "."


def _intervals(rows: Sequence[_Row], inputs: ReportInputs) -> Callable[["Figure"], None]:
    """Paints a row for each interval, its name and numbers on the line above it so that they fit any width."""

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        margin = words.known(inputs.verdict.get("margin")) or 0.0
        axes.axvspan(-margin, margin, color=COLOURS["sky"], alpha=0.18, linewidth=0)
        axes.axvline(0, color=COLOURS["muted"], linewidth=1.2)
        letters = int(figure.get_figwidth() * 72 / 7.4)  # that fit on one line
        for place, row in enumerate(rows):
            _interval(axes, len(rows) - 1 - place, row, letters)
        axes.set_ylim(-0.4, len(rows) - 0.4)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        _difference_axis(axes, rows, inputs.amounts)
        axes.set_xlabel(inputs.amounts.axis)
        beside: dict[str, Any] = {"va": "center", "color": COLOURS["muted"]}
        beside["xycoords"] = ("axes fraction", axes.xaxis.label)
        axes.annotate("← worse", (0, 0.5), **beside)
        axes.annotate("better →", (1, 0.5), ha="right", **beside)

    return paint


def _interval(axes: "Axes", height: int, row: _Row, letters: int) -> None:
    low = row.difference if row.low is None else row.low
    high = row.difference if row.high is None else row.high
    (line,) = axes.plot([low, high], [height, height], color=row.look.colour, linewidth=3.4 if row.strong else 2.2)
    (dot,) = axes.plot(
        [row.difference],
        [height],
        row.look.marker,
        color=row.look.colour,
        markersize=10 if row.strong else 8,
        markeredgecolor=COLOURS["card"],
    )
    for artist in (line, dot):
        tip(artist, f"{row.text} {row.numbers}")
    fits = len(row.text) + len(row.numbers) < letters
    numbers = row.numbers if fits else row.amounts.difference(row.difference)
    text = words.shorten(row.text, letters - len(numbers) - 1)
    _above(axes, 0, height, text, weight="bold" if row.strong else "normal")
    _above(axes, 1, height, numbers, ha="right", color=COLOURS["ink" if row.strong else "muted"])


def _above(axes: "Axes", side: int, height: int, text: str, **style: Any) -> None:
    """A text 17 pixels above a row's line, on a patch of the card's colour so that no grid line crosses it."""
    patch = {"facecolor": COLOURS["card"], "linewidth": 0, "pad": 1.5}
    across = axes.get_yaxis_transform()
    axes.annotate(
        text,
        (side, height),
        (0, 17),
        xycoords=across,
        textcoords="offset points",
        va="center",
        bbox=patch,
        **style,
    )


def _difference_axis(axes: "Axes", rows: Sequence[_Row], amounts: Amounts) -> None:
    """Zero always in sight, room at both ends."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    ends = [0.0] + [end for row in rows for end in (row.difference, row.low, row.high) if end is not None]
    room = max(0.06 * (max(ends) - min(ends)), 0.005 * amounts.scale)
    axes.set_xlim(min(ends) - room, max(ends) + room)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: amounts.difference_tick(value)))
    axes.grid(axis="x", linewidth=0.8)
