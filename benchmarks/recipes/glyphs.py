"""Letters from real font files: the faces that matplotlib carries (DejaVu Sans, Sans Mono and Serif, and STIX).

Each row is one glyph of one face, so no two rows differ by a made-up distortion alone.
"""

import unicodedata
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from headstart.datasets.builtin import BOX, FRAME
from headstart.datasets.glyphs import characters
from headstart.datasets.glyphs import faces as faces_of
from headstart.storage.publish import replacing

LATIN = range(0x0041, 0x0250)
GREEK = range(0x0370, 0x0400)
FAMILIES = ("DejaVuSans", "DejaVuSansMono", "DejaVuSerif", "STIXGeneral", "STIXGeneralBol", "STIXGeneralBolIta",
            "STIXGeneralItalic")  # fmt: skip
DRAWN = 96  # pixels an em, before a glyph is brought to its box


def write_letters(directory: Path, alphabet: range, *, most: int) -> int:
    """Writes <directory>/<letter>/<face>-<code>.png, and returns how many images that are.

    A letter with its capital, its final form and its accents is one class. most: rows that a class keeps.
    """
    glyphs = {letter: _glyphs(letter, alphabet)[:most] for letter in letters(alphabet)}
    with replacing(directory) as draft:
        for letter, own in glyphs.items():
            folder = draft / unicodedata.name(letter).rpartition(" ")[2].lower()
            folder.mkdir()
            for face, code in own:
                Image.fromarray(render(face, chr(code))).save(folder / f"{face.stem}-{code:04x}.png")
    return sum(len(own) for own in glyphs.values())


def render(face: Path, character: str) -> NDArray[np.uint8]:
    """One glyph, white on black, its longer side 20 pixels in the middle of a 28x28 frame, as MNIST's digits are."""
    font = ImageFont.truetype(str(face), DRAWN)
    left, top, right, bottom = font.getbbox(character)
    drawn = Image.new("L", (int(right - left), int(bottom - top)))
    ImageDraw.Draw(drawn).text((-left, -top), character, fill=255, font=font)
    scale = BOX / max(drawn.size)
    small = drawn.resize([max(1, round(side * scale)) for side in drawn.size], Image.Resampling.LANCZOS)
    framed = Image.new("L", (FRAME, FRAME))
    framed.paste(small, ((FRAME - small.width) // 2, (FRAME - small.height) // 2))
    return np.asarray(framed)


def base(code: int) -> str:
    """The plain small letter of a character: "a" of À; empty where it is no letter of its own alphabet."""
    plain = unicodedata.normalize("NFD", chr(code))[0].lower()
    return {"ς": "σ"}.get(plain, plain) if unicodedata.category(chr(code)) in ("Lu", "Ll") else ""


def letters(alphabet: range) -> list[str]:
    """The 26 letters of Latin or the 24 of Greek."""
    first, last = ("a", "z") if alphabet is LATIN else ("α", "ω")
    return sorted({base(code) for code in alphabet if base(code) and first <= base(code) <= last})


def _glyphs(letter: str, alphabet: range) -> list[tuple[Path, int]]:
    """(face, code) of all glyphs of a letter: the plain ones first, then those with accents."""
    codes = sorted(
        (code for code in alphabet if base(code) == letter),
        key=lambda code: (len(unicodedata.normalize("NFD", chr(code))), code),
    )
    return [(face, code) for code in codes for face, known in faces().items() if code in known]


@cache
def faces() -> dict[Path, frozenset[int]]:
    """Each face and the characters that it has."""
    return {path: characters(path) for path in faces_of(FAMILIES)}
