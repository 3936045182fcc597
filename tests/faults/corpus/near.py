"""Near duplicates: what people do to a picture and save again, and real pictures that are none of one another."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def _resized(image: Image.Image, draw: np.random.Generator) -> Image.Image:
    by = draw.uniform(0.5, 2)
    return image.resize((max(8, round(image.width * by)), max(8, round(image.height * by))), Image.Resampling.BICUBIC)


def _noisy(image: Image.Image, draw: np.random.Generator) -> Image.Image:
    pixels = np.asarray(image) + draw.normal(0, 4, np.asarray(image).shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _gamma(image: Image.Image, draw: np.random.Generator) -> Image.Image:
    power = draw.uniform(0.85, 1.15)
    return image.point([round(255 * (value / 255) ** power) for value in range(256)] * len(image.getbands()))


CHANGES: dict[str, Change] = {
    "JPEG, quality 50 to 95": lambda image, draw: _jpeg(image, int(draw.integers(50, 96))),
    "JPEG, quality 30": lambda image, draw: _jpeg(image, 30),
    "resized to 0.5 to 2 times": _resized,
    "brightness +-15%": lambda image, draw: ImageEnhance.Brightness(image).enhance(draw.uniform(0.85, 1.15)),
    "contrast +-20%": lambda image, draw: ImageEnhance.Contrast(image).enhance(draw.uniform(0.8, 1.2)),
    "gamma +-15%": _gamma,
    "noise, s.d. 4": _noisy,
    "blurred by half a pixel": lambda image, draw: image.filter(ImageFilter.GaussianBlur(0.5)),
    "64 colours": lambda image, draw: image.convert("RGB").quantize(64).convert(image.mode),
}


def digits() -> list[Image.Image]:
    """The built-in set of 1,797 handwritten digits."""
    return _built_in("digits")


def mnist() -> list[Image.Image]:
    """The built-in set of 5,000 handwritten digits."""
    return _built_in("mnist5k")


def _built_in(name: str) -> list[Image.Image]:
    from headstart.datasets import builtin

    return [Image.fromarray(image) for image in getattr(builtin, name)()[0]]


def photographs() -> list[Image.Image]:
    """Parts of scikit-learn's two photographs, in colour, side by side: no two of them overlap."""
    from sklearn.datasets import load_sample_image

    side = 40
    found = []
    for name in ("china.jpg", "flower.jpg"):
        whole = load_sample_image(name)
        for top in range(0, whole.shape[0] - side, side):
            for left in range(0, whole.shape[1] - side, side):
                part = whole[top : top + side, left : left + side]
                if part.mean(axis=2).std() > 20:  # of what is plain sky, a sketch is of little but noise
                    found.append(Image.fromarray(part))
    return found


SETS: dict[str, tuple[Callable[[], list[Image.Image]], int]] = {
    "mnist5k": (mnist, 1),
    "digits": (digits, 1),
    "photographs": (photographs, 3),
}  # with the channels that they are read with
