"""The images of the bench of scale: characters of DejaVu's faces on coloured grounds, small and quickly drawn, as JPEG.

<folder>/<part>-<side>/<class>/<number>.jpg     drawn once, more of a class where more are asked for
A dataset of fewer images or classes is a folder of hard links to the first ones.
"""

import os
import string
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from headstart.datasets.glyphs import faces
from headstart.storage.publish import digest

FAMILIES = ("DejaVuSans", "DejaVuSansMono", "DejaVuSerif")
CHARACTERS = string.ascii_letters + string.digits + "αβγδεζηθλμξπσφψωΓΔΘΛΞΠΣΦΨΩБГДЖЗИЛПЦЧ§±"  # 100 classes
QUALITY = 90
TURN = 20.0  # degrees to either side
NOISE = 12.0  # s.d., of 255


def dataset(folder: Path, part: str, *, images: int, classes: int, side: int) -> Path:
    """A folder of class folders with so many images in all, evenly; part: "source" or "target", which share none."""
    drawn, found = folder / f"{part}-{side}", folder / f"{part}-{side}-{images}-{classes}"
    if found.exists():
        return found
    each = images // classes
    draft = found.with_name(f"{found.name}.tmp")
    for number in range(classes):
        own, links = drawn / f"u{ord(CHARACTERS[number]):04x}", draft / f"u{ord(CHARACTERS[number]):04x}"
        own.mkdir(parents=True, exist_ok=True)
        links.mkdir(parents=True, exist_ok=True)
        for place in range(each):
            path = own / f"{place:06d}.jpg"
            if not path.exists():
                render(CHARACTERS[number], f"{part}/{place}", side).save(path, quality=QUALITY)
            if not (links / path.name).exists():
                os.link(path, links / path.name)
    draft.rename(found)
    return found


def render(character: str, key: str, side: int) -> Image.Image:
    """One image, (side, side) RGB: the same for the same character, key and side."""
    draw = np.random.default_rng(int(digest([character, key, side])[:16], 16))
    mask = Image.new("L", (side, side))
    size = int(side * draw.uniform(0.55, 0.95))
    at = side / 2 + draw.uniform(-0.1, 0.1, 2) * side
    font = _font(int(draw.integers(len(_faces()))), size)
    ImageDraw.Draw(mask).text((float(at[0]), float(at[1])), character, fill=255, font=font, anchor="mm")
    ink = np.asarray(mask.rotate(draw.uniform(-TURN, TURN), Image.Resampling.BILINEAR), np.float32)[..., None] / 255
    first, second, colour = (draw.integers(0, 256, 3).astype(np.float32) for _ in range(3))
    slope = np.linspace(0, draw.uniform(0, 0.5), side, dtype=np.float32)[:, None, None]
    pixels = (first * (1 - slope) + second * slope) * (1 - ink) + colour * ink
    noisy: NDArray[np.float32] = pixels + NOISE * draw.standard_normal(pixels.shape, np.float32)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


@cache
def _faces() -> list[Path]:
    return list(faces(FAMILIES))


@cache
def _font(face: int, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_faces()[face]), size)
