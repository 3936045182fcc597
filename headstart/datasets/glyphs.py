"""Glyphs of the fonts that matplotlib carries: a source that says what each looks like, and a target of small letters.

No font is on both sides: the source has DejaVu's faces, whose files say serif, weight, slant and pitch, the target has
STIX and Computer Modern. All are drawn at one size an em on one baseline, so that what rises and what hangs is seen.
"""

import io
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from headstart.datasets.table import ATTRIBUTES

FRAME, EM, BASELINE = 28, 22, 22  # pixels: side of a picture, size of an em, rows above the baseline
FINER = 4  # times as large as glyphs are drawn before they are averaged to their pixels
INK = 128  # gray level from which a pixel counts as ink
LONG_S = 0x17F  # Unicode calls it an s; nobody would
SPECK = 4  # pixels of a drawing below which a hole or a part is none

SOURCE = ("DejaVuSans", "DejaVuSansMono", "DejaVuSerif")
TARGET = ("STIXGeneral", "STIXGeneralBol", "STIXGeneralBolIta", "STIXGeneralItalic", "cmb10", "cmmi10", "cmr10",
          "cmss10", "cmti10", "cmtt10")  # fmt: skip
DESCRIBED = (range(0x21, 0x7F), range(0xC0, 0x180), range(0x391, 0x3CA), range(0x410, 0x450))  # of the source's faces
KINDS = {"Lu": "capital", "Ll": "small letter", "Nd": "digit"}  # Unicode's categories; all others are signs
SIDES = ("left", "right", "top", "bottom")

# What small letters look like in print, by the author's eye: how many holes, what rises above and hangs below the rest,
# a dot, upright stems (left, middle, right), a round bowl, an arch, a slanting stroke, a crossbar, a hook at an end, to
# which sides it is open, whether its mirror image is the same, and whether it is wide.
SIGNATURES = """\
class,holes,ascender,descender,dot,left,middle,right,bowl,arch,slant,bar,hook,open_right,open_left,open_top,open_bottom,mirror,wide
a,1,0,0,0,0,0,1,1,0,0,0,0,0,1,0,0,0,0
b,1,1,0,0,1,0,0,1,0,0,0,0,0,0,0,0,0,0
c,0,0,0,0,0,0,0,1,0,0,0,0,1,0,0,0,0,0
d,1,1,0,0,0,0,1,1,0,0,0,0,0,0,0,0,0,0
e,1,0,0,0,0,0,0,1,0,0,1,0,1,0,0,0,0,0
f,0,1,0,0,0,1,0,0,0,0,1,1,0,0,0,0,0,0
g,1,0,1,0,0,0,1,1,0,0,0,1,0,1,0,0,0,0
h,0,1,0,0,1,0,1,0,1,0,0,0,0,0,0,1,0,0
i,0,0,0,1,0,1,0,0,0,0,0,0,0,0,0,0,1,0
j,0,0,1,1,0,1,0,0,0,0,0,1,0,0,0,0,0,0
k,0,1,0,0,1,0,0,0,0,1,0,0,1,0,0,0,0,0
l,0,1,0,0,0,1,0,0,0,0,0,0,0,0,0,0,1,0
m,0,0,0,0,1,1,1,0,1,0,0,0,0,0,0,1,1,1
n,0,0,0,0,1,0,1,0,1,0,0,0,0,0,0,1,0,0
o,1,0,0,0,0,0,0,1,0,0,0,0,0,0,0,0,1,0
p,1,0,1,0,1,0,0,1,0,0,0,0,0,0,0,0,0,0
q,1,0,1,0,0,0,1,1,0,0,0,0,0,0,0,0,0,0
r,0,0,0,0,1,0,0,0,0,0,0,1,0,0,0,0,0,0
s,0,0,0,0,0,0,0,1,0,0,0,0,1,1,0,0,0,0
t,0,0.5,0,0,0,1,0,0,0,0,1,1,0,0,0,0,0,0
u,0,0,0,0,1,0,1,0,1,0,0,0,0,0,1,0,0,0
v,0,0,0,0,0,0,0,0,0,1,0,0,0,0,1,0,1,0
w,0,0,0,0,0,0,0,0,0,1,0,0,0,0,1,0,1,1
x,0,0,0,0,0,0,0,0,0,1,0,0,1,1,1,1,1,0
y,0,0,1,0,0,0,0,0,0,1,0,0,0,0,1,0,0,0
z,0,0,0,0,0,0,0,0,0,1,1,0,1,1,0,0,0,0
"""  # noqa: E501


def glyph_attributes() -> tuple[NDArray[np.uint8], pd.DataFrame]:
    """Characters of twelve faces: images (4872, 28, 28), and a table of ATTRIBUTES, in ems where they are lengths."""
    found = [
        (face, code, about)
        for face in faces(SOURCE)
        for about in [_of_face(face)]
        for code in _known(face, (code for part in DESCRIBED for code in part))
    ]
    drawn = [draw(face, chr(code)) for face, code, _ in found]
    table = pd.DataFrame(
        [about | _of_glyph(face, code, image) for (face, code, about), image in zip(found, drawn, strict=True)]
    )
    return np.stack([smaller(image) for image in drawn]), table[list(ATTRIBUTES)]


def glyphs() -> tuple[NDArray[np.uint8], list[str]]:
    """Small letters of ten faces, with accents and in the alphabets of mathematics: images (1208, 28, 28), "a".."z"."""
    found = [
        (face, code, letter)
        for face in faces(TARGET)
        for code in sorted(characters(face))
        for letter in [small_letter(code)]
        if letter
    ]
    return np.stack([smaller(draw(face, chr(code))) for face, code, _ in found]), [letter for *_, letter in found]


def signatures() -> pd.DataFrame:
    """What each class of `glyphs` looks like: class, and one column an attribute."""
    return pd.read_csv(io.StringIO(SIGNATURES))


def faces(families: Iterable[str]) -> list[Path]:
    """The font files of these families, their bold and oblique ones too."""
    from matplotlib import get_data_path

    folder = Path(get_data_path()) / "fonts" / "ttf"
    return [path for path in sorted(folder.glob("*.ttf")) if path.stem.partition("-")[0] in set(families)]


def characters(face: Path) -> frozenset[int]:
    """The characters that a face has."""
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(face)).get_charmap())


def small_letter(code: int) -> str:
    """The plain small letter of a character, "a" of à and of 𝐚; empty where it is none."""
    if unicodedata.category(chr(code)) != "Ll" or code == LONG_S:
        return ""
    plain = unicodedata.normalize("NFKD", chr(code))
    return plain[0] if "a" <= plain[0] <= "z" and all(map(unicodedata.combining, plain[1:])) else ""


def draw(face: Path, character: str) -> NDArray[np.uint8]:
    """One glyph, white on black, FINER times as large as its picture; in the middle from left to right."""
    side = FRAME * FINER
    font = _font(face)
    left, _, right, _ = font.getbbox(character, anchor="ls")
    image = Image.new("L", (side, side))
    place = ((side - left - right) / 2, BASELINE * FINER)
    ImageDraw.Draw(image).text(place, character, fill=255, font=font, anchor="ls")
    return np.asarray(image)


def smaller(drawn: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A drawing at the size of its picture, (FRAME, FRAME)."""
    return np.asarray(Image.fromarray(drawn).resize((FRAME, FRAME), Image.Resampling.BOX))


def holes_and_parts(drawn: NDArray[np.uint8]) -> tuple[int, int]:
    """How many holes a drawing's ink has, and of how many pieces it is: 1 and 1 of an o, 0 and 2 of an i."""
    from scipy.ndimage import label

    ink = np.pad(drawn >= INK, 1)
    everywhere = np.ones((3, 3))  # pieces hang together at corners, the ground between them does not
    ground, pieces = (
        np.bincount(label(mask, shape)[0].ravel())[1:] for mask, shape in ((~ink, None), (ink, everywhere))
    )
    return int((ground >= SPECK).sum()) - 1, int((pieces >= SPECK).sum())


def mirror(drawn: NDArray[np.uint8]) -> float:
    """How much a drawing is its own mirror image: the correlation of the two, 1 where they are the same."""
    box = _box(drawn).astype(float)
    return float(np.corrcoef(box.ravel(), box[:, ::-1].ravel())[0, 1]) if box.std() else 1.0


def strokes(drawn: NDArray[np.uint8]) -> tuple[float, float]:
    """How many strokes a line across meets on average, and one down: about 2 and 1 of an n, 3 and 1 of an m."""
    ink = np.pad(_box(drawn) >= INK, 1)
    return float((np.diff(ink.astype(int), axis=1) > 0).sum(1)[1:-1].mean()), float(
        (np.diff(ink.astype(int), axis=0) > 0).sum(0)[1:-1].mean()
    )


def openings(drawn: NDArray[np.uint8]) -> dict[str, float]:
    """Share of a drawing's box that is open to one side alone, shut by ink to the others; right of a c it is large."""
    ink = _box(drawn) >= INK
    rise, fall = (np.maximum.accumulate(ink[::step], axis=0)[::step] for step in (1, -1))
    run, back = (np.maximum.accumulate(ink[:, ::step], axis=1)[:, ::step] for step in (1, -1))
    shut = dict(zip(SIDES, (run, back, rise, fall), strict=True))
    return {
        side: float((~ink & ~shut[side] & np.all([shut[other] for other in SIDES if other != side], axis=0)).mean())
        for side in SIDES
    }


def _box(drawn: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What a drawing's ink spans."""
    rows, columns = (np.flatnonzero((drawn >= INK).any(axis=axis)) for axis in (1, 0))
    return drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _font(face: Path) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(face), EM * FINER)


def _known(face: Path, codes: Iterable[int]) -> list[int]:
    return sorted(characters(face) & set(codes))


def _of_face(face: Path) -> dict[str, Any]:
    """What the font's file says of all of its glyphs."""
    from matplotlib.ft2font import FT2Font

    font = FT2Font(str(face))
    metrics, post = font.get_sfnt_table("OS/2"), font.get_sfnt_table("post")
    assert metrics is not None
    assert post is not None
    return {
        "serif": _yes(2 <= metrics["panose"][1] <= 10),  # PANOSE's serif styles; 11 to 15 have none
        "bold": _yes(metrics["usWeightClass"] >= 600),
        "slanted": _yes(post["italicAngle"] != (0, 0)),
        "monospace": _yes(bool(post["isFixedPitch"])),
    }


def _of_glyph(face: Path, code: int, drawn: NDArray[np.uint8]) -> dict[str, Any]:
    """What Unicode, the font's measures and the drawing say of one glyph."""
    font = _font(face)
    inked = np.flatnonzero((drawn >= INK).any(axis=1))
    holes, parts = holes_and_parts(drawn)
    across, down = strokes(drawn)
    return {
        "kind": KINDS.get(unicodedata.category(chr(code)), "sign"),
        "holes": holes,
        "parts": parts,
        "width": round(font.getlength(chr(code)) / font.size, 3),
        "top": (BASELINE * FINER - int(inked[0])) / font.size,
        "bottom": (BASELINE * FINER - int(inked[-1]) - 1) / font.size,
        "mirror": round(mirror(drawn), 3),
        "across": round(across, 3),
        "down": round(down, 3),
        **{f"open_{side}": round(share, 3) for side, share in openings(drawn).items()},
    }


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"
