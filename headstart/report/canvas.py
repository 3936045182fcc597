"""Drawing: one style, one palette, and SVG that follows the page's light or dark colours.

Figures are drawn by matplotlib's objects (no pyplot) in the light colours below. As a file a figure keeps them, on
white; inside the page each is replaced by the CSS variable of its name, so that one drawing suits both schemes.
"""

import io
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headstart.entrants import CONTROL, source_as_it_is

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colour-blind safe palette (https://jfly.uni-koeln.de/color/), and the page's own tones
COLOURS = {
    "blue": "#0072b2",
    "vermillion": "#d55e00",
    "green": "#009e73",
    "purple": "#cc79a7",
    "orange": "#e69f00",
    "sky": "#56b4e9",
    "yellow": "#f0e442",
    "ink": "#1b1f24",
    "muted": "#59636e",
    "line": "#d8dee4",
    "card": "#fefefe",
}
SERIES = [COLOURS[name] for name in ("blue", "vermillion", "green", "purple", "orange", "sky", "ink", "yellow")]
HALF, PHONE = (560, 400), (360, 350)  # (width, height) in CSS pixels: half the page's width, and a phone's
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "p", "<", ">"]

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: small, sharp, found by the browser's search
    "text.parse_math": False,  # a class may be named "$x$"
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same widths, so the same bytes, everywhere
    "font.size": 12.0,
    "text.color": COLOURS["ink"],
    "axes.edgecolor": COLOURS["line"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.labelsize": 12.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": COLOURS["line"],
    "ytick.color": COLOURS["line"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["muted"],
    "grid.color": COLOURS["line"],
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
}
_LOCK = threading.Lock()  # matplotlib's settings are one set for the whole process


@dataclass(frozen=True)
class Look:
    """How a strategy is drawn wherever it appears: colour and, for those who see no colours, marker."""

    colour: str
    marker: str


@dataclass(frozen=True)
class Drawing:
    """A figure ready for the page: its text alternative, and the SVG in one or two widths.

    `narrow` is a second layout for phones, where `wide` would shrink until nobody could read it.
    """

    name: str
    alt: str
    wide: str
    narrow: str | None = None

    @property
    def inline(self) -> list[tuple[str, str]]:
        """(css class, svg) for each width, for use inside the page."""
        if self.narrow is None:
            return [("only", for_page(self.wide, self.alt))]
        return [("wide", for_page(self.wide, self.alt)), ("narrow", for_page(self.narrow, self.alt))]


def looks(strategies: Sequence[str], chosen: str) -> dict[str, Look]:
    """Gives each strategy its look: the three that matter always have the same one."""
    fixed = {
        source_as_it_is(chosen): Look(COLOURS["green"], "^"),
        CONTROL: Look(COLOURS["vermillion"], "s"),
        chosen: Look(COLOURS["blue"], "o"),
    }
    colours = [COLOURS[name] for name in ("purple", "orange", "sky", "ink", "muted")]
    others = [name for name in strategies if name not in fixed]
    rest = {name: Look(colours[i % len(colours)], MARKERS[3 + i % (len(MARKERS) - 3)]) for i, name in enumerate(others)}
    return fixed | rest


def class_look(place: int) -> Look:
    """The look of the class at this place: the eight colours, then again with the next marker."""
    return Look(SERIES[place % len(SERIES)], MARKERS[place // len(SERIES) % len(MARKERS)])


def draw(
    name: str,
    alt: str,
    paint: Callable[["Figure"], None],
    *,
    size: tuple[int, int],
    narrow: tuple[int, int] | None = None,
) -> Drawing:
    """Paints a figure at one or two sizes (width, height in CSS pixels)."""
    with _styled():
        wide = _svg(name, paint, size)
        return Drawing(name, alt, wide, _svg(f"{name}-narrow", paint, narrow) if narrow else None)


def tip(artist: Any, text: str) -> None:
    """Shows a text when the pointer rests on an artist: an SVG <title>, which needs no script."""
    artist.set_gid("tip:" + text)


def spoken(metric: str) -> str:
    """A metric's name as a person says it."""
    return metric.replace("_", " ")


def for_page(svg: str, alt: str) -> str:
    """An SVG file's text made part of the page: its colours become the page's, its size the column's."""
    head, body = svg.split(">", 1)
    box = re.search(r'viewBox="[^"]*"', head)
    assert box is not None
    body = body.replace(_BACKGROUND, "", 1).replace("xlink:href=", "href=")
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    for name, colour in COLOURS.items():
        body = re.sub(f"(fill|stroke): {colour}", rf"\1: var(--{name})", body)
    return f'<svg role="img" aria-label="{_attribute(alt)}" {box[0]}>{body}'


_BACKGROUND = f'<rect width="100%" height="100%" fill="{COLOURS["card"]}"/>'


@contextmanager
def _styled() -> Iterator[None]:
    from matplotlib import style

    with _LOCK, warnings.catch_warnings(), style.context(["default", _STYLE]):
        # layout measures text with DejaVu; the reader's browser has the glyphs that it lacks
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _svg(name: str, paint: Callable[["Figure"], None], size: tuple[int, int]) -> str:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = name  # ids that are the same each time and differ between figures
    figure = Figure(figsize=(size[0] / 72, size[1] / 72), dpi=72, layout="constrained")
    paint(figure)
    buffer = io.StringIO()
    canvas: Any = FigureCanvasSVG(figure)  # not savefig, which draws everything twice
    canvas.print_svg(buffer, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return _cleaned(buffer.getvalue())


def _cleaned(text: str) -> str:
    """Takes out what matplotlib writes for other programs, and turns tips into titles."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->\s*|<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"""<g id=(?:"([^"]*)"|'([^']*)')([^>]*)>""", _title, text)
    text = re.sub(r"<[^>]*>", _lighter, text)
    head, body = text.split(">", 1)
    return f'{head} font-family="system-ui, Helvetica, Arial, sans-serif">{_BACKGROUND}{body}'


def _title(found: re.Match[str]) -> str:
    """A group without its id, which would be the same in every figure; a tip becomes its <title>."""
    name, rest = found[1] or found[2] or "", found[3]
    return f"<g{rest}>" + (f"<title>{name.removeprefix('tip:')}</title>" if name.startswith("tip:") else "")


def _lighter(tag: re.Match[str]) -> str:
    """A tag with hundredths of a pixel, no line breaks, and the reader's own font."""
    text = tag[0].replace("font-family: 'DejaVu Sans'; ", "").replace(" \n", " ").replace("\n", "")
    return re.sub(r' transform="rotate\(-0 [^"]*"', "", re.sub(r"(\d\.\d\d)\d+", r"\1", text))


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
