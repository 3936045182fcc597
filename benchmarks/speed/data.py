"""The data of the bench: characters of real fonts on coloured grounds, drawn from their names alone, as JPEG folders.

<folder>/source/<class>/*.jpg              what W is pretrained on
<folder>/<target>/train-<seed>/<class>/    the training images of each seed
<folder>/<target>/test/<class>/            the test images, which all seeds share

The targets are shifted from the source: other characters, other faces, other grounds. Files are larger than what the
networks see, as photographs are.
"""

import hashlib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from headstart.datasets.glyphs import faces
from headstart.storage.publish import digest, replacing, write_json

FILE_SIDE = 160  # pixels of a file
QUALITY = 90  # of JPEG
DONE = "done.json"


@dataclass(frozen=True)
class Style:
    """What a dataset looks like.

    families: of faces, as matplotlib names its files. ground: "clouds", "stripes" or "grain". contrast: least distance
    of ink and ground. turn: degrees to either side. strays: parts of other characters that are drawn over it.
    """

    characters: str
    families: tuple[str, ...]
    ground: str
    contrast: int
    turn: float
    strays: int


@dataclass(frozen=True)
class Sizes:
    """Images a class, of the source and of a target's two parts, and how many seeds have training images."""

    source: int
    train: int
    test: int
    seeds: int


STYLES = {
    "source": Style("ABEGHKMRSTWX", ("DejaVuSans", "DejaVuSansMono"), "clouds", 60, 25, 1),
    "digits": Style("0123456789", ("DejaVuSerif", "STIXGeneral"), "stripes", 90, 15, 1),
    "greek": Style("αβγδθλμπσφ", ("STIXGeneralItalic", "STIXGeneralBolIta", "DejaVuSerif"), "grain", 90, 15, 0),
}
TARGETS = ("digits", "greek")


def write_data(folder: Path, sizes: Sizes) -> None:
    """Writes all datasets, unless they are there as this code makes them."""
    known = {"digest": digest([str(STYLES), str(sizes), FILE_SIDE, QUALITY])}
    if (folder / DONE).is_file() and known["digest"] in (folder / DONE).read_text():
        return
    with replacing(folder) as draft:
        for part, name, count in _parts(sizes):
            write_part(draft / part, part, STYLES[name], count)
        write_json(draft / DONE, known)


def _parts(sizes: Sizes) -> Iterator[tuple[str, str, int]]:
    """(folder, style, images a class)."""
    yield "source", "source", sizes.source
    for name in TARGETS:
        yield f"{name}/test", name, sizes.test
        for seed in range(sizes.seeds):
            yield f"{name}/train-{seed}", name, sizes.train


def write_part(folder: Path, part: str, style: Style, count: int, *, prefix: str = "") -> None:
    """Draws so many images of each class into class folders. part: what they are drawn from; prefix: of their names."""
    for character in style.characters:
        own = folder / class_name(character)
        own.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image = render(style, character, f"{part}/{number}")
            image.save(own / f"{prefix}{number:04d}.jpg", quality=QUALITY)


def class_name(character: str) -> str:
    """Such as "digit_seven", "capital_a" or "small_theta"."""
    return "_".join(unicodedata.name(character).replace(" LETTER", "").split()[-2:]).lower()


def render(style: Style, character: str, key: str) -> Image.Image:
    """One image, (FILE_SIDE, FILE_SIDE) RGB: the same for the same style, character and key."""
    seed = hashlib.sha256(f"{style}{character}{key}".encode()).digest()
    draw = np.random.default_rng(np.frombuffer(seed, np.uint32))
    ground = _ground(style.ground, draw)
    colour = np.asarray(ground).mean((0, 1))
    image = ground.copy()
    for _ in range(style.strays):
        other = style.characters[draw.integers(len(style.characters))]
        _paste(image, _glyph(style, other, draw, share=0.45), _ink(colour, style.contrast, draw), draw, reach=0.5)
    _paste(image, _glyph(style, character, draw, share=0.7), _ink(colour, style.contrast, draw), draw, reach=0.12)
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(draw.uniform(0, 1.5))), np.float64)
    noisy = pixels + draw.normal(0, draw.uniform(5, 25), pixels.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def _ground(kind: str, draw: np.random.Generator) -> Image.Image:
    first, second = draw.integers(20, 236, 3), draw.integers(20, 236, 3)
    weight = {"clouds": _clouds, "stripes": _stripes, "grain": _grain}[kind](draw)[..., None]
    return Image.fromarray((first * weight + (0.6 * first + 0.4 * second) * (1 - weight)).astype(np.uint8))


def _clouds(draw: np.random.Generator) -> NDArray[np.float64]:
    """(FILE_SIDE, FILE_SIDE) in 0 .. 1: a coarse grid, made smooth."""
    coarse = Image.fromarray(draw.integers(0, 256, (5, 5)).astype(np.uint8))
    return np.asarray(coarse.resize((FILE_SIDE, FILE_SIDE), Image.Resampling.BICUBIC)) / 255.0


def _stripes(draw: np.random.Generator) -> NDArray[np.float64]:
    angle, width = draw.uniform(0, np.pi), draw.uniform(6, 20)
    rows, columns = np.mgrid[:FILE_SIDE, :FILE_SIDE]
    return (np.sin((rows * np.sin(angle) + columns * np.cos(angle)) / width * np.pi) + 1) / 2


def _grain(draw: np.random.Generator) -> NDArray[np.float64]:
    coarse = Image.fromarray(draw.integers(0, 256, (32, 32)).astype(np.uint8))
    return np.asarray(coarse.resize((FILE_SIDE, FILE_SIDE), Image.Resampling.BILINEAR)) / 255.0


def _ink(ground: NDArray[np.float64], contrast: int, draw: np.random.Generator) -> tuple[int, ...]:
    """A colour that is at least so far from the ground's mean in brightness."""
    while True:
        colour = draw.integers(0, 256, 3)
        if abs(float(colour.mean() - ground.mean())) >= contrast:
            return tuple(int(value) for value in colour)


def _glyph(style: Style, character: str, draw: np.random.Generator, *, share: float) -> Image.Image:
    """(h, w) L: a character turned, about `share` of the file high."""
    path = faces_of(style.families)[draw.integers(len(faces_of(style.families)))]
    font = _font(path, int(FILE_SIDE * share * draw.uniform(0.7, 1.1)))
    left, top, right, bottom = font.getbbox(character)
    mask = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4))
    ImageDraw.Draw(mask).text((2 - left, 2 - top), character, fill=255, font=font)
    return mask.rotate(draw.uniform(-style.turn, style.turn), Image.Resampling.BILINEAR, expand=True)


def _paste(
    image: Image.Image, mask: Image.Image, ink: tuple[int, ...], draw: np.random.Generator, *, reach: float
) -> None:
    right, down = draw.uniform(-reach, reach, 2) * FILE_SIDE
    image.paste(ink, (int((FILE_SIDE - mask.width) / 2 + right), int((FILE_SIDE - mask.height) / 2 + down)), mask)


@cache
def faces_of(families: tuple[str, ...]) -> list[Path]:
    return list(faces(families))


@cache
def _font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size)
