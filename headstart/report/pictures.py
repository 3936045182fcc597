"""Pictures on the page: which test rows transfer won and lost, and any row as a picture or in words."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from headstart.report import words
from headstart.report.amounts import amounts_of
from headstart.report.inputs import Picture, ReportInputs
from headstart.report.summary import flips, label

LONGEST_TEXT = 160  # characters
LONGEST_SIDE = 112  # pixels kept of a picture; the page shows it at about this size
_PIXEL_ART = 64  # up to here a picture is kept exact (PNG) and drawn with hard pixel edges


@dataclass(frozen=True)
class Shot:
    """One row with the words below it: its picture, or its text; both are missing where it was not given."""

    address: str | None
    alt: str
    caption: tuple[str, ...]
    text: str = ""

    @property
    def exact(self) -> bool:
        """Whether it is so small that smoothing would only blur it."""
        return (self.address or "").startswith("data:image/png")


@dataclass(frozen=True)
class Flipped:
    """The test rows that changed sides under most seeds: how many, of how many, and the clearest of them."""

    total: int
    rows: int
    shots: list[Shot]


def won_and_lost(inputs: ReportInputs, most: int = 12) -> tuple[Flipped, Flipped]:
    """The rows that the chosen strategy has right (a value: nearer) and scratch wrong under most seeds; the reverse.

    The clearest come first (most seeds, then by id; values by how much nearer), at most `most` of each.
    """
    table = flips(inputs)
    return _flipped(inputs, table, "won", most), _flipped(inputs, table, "lost", most)


def samples(pairs: Sequence[tuple[str, Picture]], most: int = 20) -> list[Shot]:
    """A data card's pictures, each with its label."""
    return [shot(picture, f"an image of class {name}", (words.shorten(name, 24),)) for name, picture in pairs[:most]]


def shot(picture: Picture | None, alt: str, caption: tuple[str, ...] = ()) -> Shot:
    """A row as it is shown."""
    if picture is None:
        return Shot(None, alt, caption)
    if isinstance(picture, str):
        return Shot(None, alt, caption, words.shorten(" ".join(picture.split()), LONGEST_TEXT))
    return Shot(address(picture), alt, caption)


def address(picture: NDArray[np.uint8]) -> str:
    """A picture as a data: address; a large one is made smaller first, so that the page stays light."""
    image = Image.fromarray(np.ascontiguousarray(picture.squeeze()))
    image = image if image.mode in ("L", "RGB") else image.convert("RGB")
    buffer = io.BytesIO()
    if max(image.size) <= _PIXEL_ART:
        image.save(buffer, "PNG", optimize=True)
        return _data("image/png", buffer.getvalue())
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    image.save(buffer, "JPEG", quality=85)
    return _data("image/jpeg", buffer.getvalue())


def _flipped(inputs: ReportInputs, table: pd.DataFrame, side: str, most: int) -> Flipped:
    seeds = table.groupby("id")["seed"].size()
    times = table.groupby("id")[side].sum()
    clearness = times if inputs.classes else table.groupby("id")["gain"].mean().abs()
    clear = clearness[times * 2 > seeds].sort_values(ascending=False, kind="stable")
    own = table[table[side]]
    shots = [_shot(inputs, own[own["id"] == row], int(times[row]), int(seeds[row])) for row in clear.index[:most]]
    return Flipped(len(clear), len(seeds), shots)


def _shot(inputs: ReportInputs, own: pd.DataFrame, times: int, seeds: int) -> Shot:
    """own: the seeds under which this row changed sides; their commonest predictions are shown."""
    if not inputs.classes:
        return _value_shot(inputs, own, times, seeds)
    truth = str(own["truth"].iloc[0])
    said = {"scratch": _commonest(own["scratch"]), label(inputs.chosen): _commonest(own["chosen"])}
    picture = inputs.images.get(own["id"].iloc[0])
    alt = f"a test image of class {truth}; " + ", ".join(f"{name} says {given}" for name, given in said.items())
    verdicts = (f"{'✓' if given == truth else '✗'} {name}: {words.shorten(given, 24)}" for name, given in said.items())
    caption = (f"true: {words.shorten(truth, 24)}", *verdicts, f"{times} of {words.counted(seeds, 'seed')}")
    return shot(picture, alt, caption)


def _value_shot(inputs: ReportInputs, own: pd.DataFrame, times: int, seeds: int) -> Shot:
    """The means of the predictions under those seeds."""
    if inputs.measure.parts:
        return _values_shot(inputs, own, times, seeds)
    amounts, truth = inputs.amounts, float(own["truth"].iloc[0])
    said = {"scratch": float(own["scratch"].mean()), label(inputs.chosen): float(own["chosen"].mean())}
    picture = inputs.images.get(own["id"].iloc[0])
    alt = f"a test image of {amounts.value(truth)}; " + ", ".join(
        f"{name} says {amounts.value(given)}" for name, given in said.items()
    )
    guesses = (f"{name}: {amounts.value(given).removesuffix(amounts.unit).strip()}" for name, given in said.items())
    caption = (f"true: {amounts.value(truth)}", *guesses, f"{times} of {words.counted(seeds, 'seed')}")
    return shot(picture, alt, caption)


def _values_shot(inputs: ReportInputs, own: pd.DataFrame, times: int, seeds: int) -> Shot:
    """The same of several values, a line each."""
    lines = []
    for name, part in inputs.measure.parts:
        amounts = amounts_of(part, "mae")
        said = {
            "scratch": float(own[f"scratch.{name}"].mean()),
            label(inputs.chosen): float(own[f"chosen.{name}"].mean()),
        }
        guesses = (f"{who} {amounts.value(given).removesuffix(amounts.unit).strip()}" for who, given in said.items())
        true = amounts.value(float(own[f"truth.{name}"].iloc[0]))
        lines.append(f"{words.shorten(name, 24)}: true {true}, {', '.join(guesses)}")
    picture = inputs.images.get(own["id"].iloc[0])
    return shot(picture, f"a test image; {'; '.join(lines)}", (*lines, f"{times} of {words.counted(seeds, 'seed')}"))


def _commonest(values: "pd.Series[str]") -> str:
    return str(values.mode().iloc[0])  # mode() sorts, so that a tie falls the same way each time


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
