"""Images: decoding with Pillow (once, at ingest) and augmenting batches on the tensor (each step).

torchvision.io's decoders were measured to kill the process on corrupt PNGs; Pillow raises.
"""

import hashlib
import math
import os
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from headstart.modalities.decoded import Decoded, Refused, content_of
from headstart.modalities.image.facts import said_of_images, warn_of_images
from headstart.modalities.image.limits import Limits
from headstart.modalities.moments import pixel_moments
from headstart.modalities.pixels import pixel_vectors
from headstart.modalities.sketch import sketch

if TYPE_CHECKING:
    import torch

    from headstart.modalities.table import Modality

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
OTHER_NAMES = {".jpg": "JPEG", ".tif": "TIFF"}  # extensions that are not their format's name
SEVERAL = ("GIF", "MPO", "PNG", "TIFF", "WEBP")  # formats whose files may hold more than one picture
DEEP_GRAY = ("I;16", "I;16B", "I;16L", "I")
ORIENTATION = 0x0112  # of EXIF: 1 is upright
ALL = slice(None)  # rows of a batch
LIMITS = Limits()


@dataclass(frozen=True)
class HowImage:
    """What decoding an image depends on. size: side of the square, pixels."""

    size: int
    channels: int
    limits: Limits = LIMITS


def decode(path: Path | BytesIO, *, size: int, channels: int, limits: Limits = LIMITS) -> Decoded:
    """Reads one file to a (channels, size, size) array: whole load, EXIF turned, alpha on white, centre-cropped.

    Never raises for a bad file: the reason is a code and the cause, for rejected.csv.
    """
    try:
        with warnings.catch_warnings():
            bombs = "error" if limits.largest_pixels <= (Image.MAX_IMAGE_PIXELS or 0) else "ignore"
            warnings.simplefilter(bombs, Image.DecompressionBombWarning)  # type: ignore[arg-type]
            warnings.simplefilter("ignore", UserWarning)
            with Image.open(
                content_of(path) if isinstance(path, str | os.PathLike) else path, formats=FORMATS
            ) as image:
                reason = limits.refuse(*image.size)
                if reason:
                    return Decoded(None, "", reason)
                width, height = image.size  # before draft() changes them
                facts: dict[str, float | str] = {"width": width, "height": height, "mode": image.mode}
                pixels, changes = _to_array(image, size=size, channels=channels)
                changes += _of_file(image, path)
    except Refused as error:
        return Decoded(None, "", str(error))
    except UnidentifiedImageError:
        return Decoded(None, "", f"NOT_AN_IMAGE: none of {', '.join(FORMATS)}")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Decoded(None, "", f"TOO_LARGE: at most {limits.largest_pixels:,} pixels (data.largest_pixels)")
    except MemoryError:
        return Decoded(None, "", "OUT_OF_MEMORY: the image does not fit into memory")
    except Exception as error:  # Pillow's decoders raise many kinds; each makes the file a rejected one
        return Decoded(None, "", f"UNREADABLE: {type(error).__name__}: {error}")
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))  # a tenth of the time that a block of images would take
    return Decoded(planes, hashlib.sha256(pixels.data).hexdigest(), "", facts, changes)


def _of_file(image: Image.Image, path: Path | BytesIO) -> tuple[str, ...]:
    """What is true of the file beside its first picture, once that is read."""
    parts = []
    if image.format in SEVERAL and _has_several(image):
        parts.append("first frame of several")
    if isinstance(path, str | os.PathLike):
        suffix = os.path.splitext(path)[1].lower()
        named = OTHER_NAMES.get(suffix, suffix[1:].upper())
        if named != {"MPO": "JPEG"}.get(str(image.format), image.format):
            parts.append("other extension")
    return tuple(parts)


def _has_several(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # what follows the first picture is broken, which takes nothing from it
        return True


def fit(image: Image.Image, *, size: int, channels: int) -> NDArray[np.uint8]:
    """Covers a size x size square with the image, keeping its aspect, and crops the centre: (size, size, channels)."""
    mode = "L" if channels == 1 else "RGB"
    square = ImageOps.fit(image.convert(mode), (size, size), Image.Resampling.BICUBIC)
    return np.asarray(square, dtype=np.uint8).reshape(size, size, channels)


def augment(
    images: "torch.Tensor", generator: "torch.Generator", *, of: int | None = None, part: slice = ALL
) -> "torch.Tensor":
    """Small random affine changes, another for each image: up to 12 degrees, 12% in scale and shear, 9% in shift.

    images: (batch, channels, height, width), any float scale; edges are repeated outwards. of, part: they are that part
    of a batch of so many, whose changes are drawn together.
    """
    import torch
    from torch.nn.functional import grid_sample

    batch = images.shape[0] if of is None else of
    angle, stretch, shear, right, down = (
        (torch.rand(5, batch, generator=generator, device=generator.device) * 2 - 1)
        * torch.tensor([[math.radians(12)], [0.12], [0.12], [0.18], [0.18]])
    )[:, part].to(images.device)
    cosine, sine = torch.cos(angle) / (1 + stretch), torch.sin(angle) / (1 + stretch)
    matrix = torch.stack(
        [torch.stack([cosine, shear - sine, right], 1), torch.stack([sine, cosine, down], 1)], 1
    )  # (batch, 2, 3)
    grid = _grid(matrix, images.shape[2], images.shape[3])
    return grid_sample(images, grid, padding_mode="border", align_corners=False)


def augment_strongly(images: "torch.Tensor", generator: "torch.Generator") -> "torch.Tensor":
    """Affine changes twice over, contrast and brightness changed, and a square cut out: FixMatch's strong view.

    images: (batch, channels, height, width), normalised. In the manner of RandAugment with Cutout (Sohn 2020,
    2001.07685), by operations that a whole batch goes through at once.
    """
    import torch

    batch, _, height, width = images.shape
    bent = augment(augment(images, generator), generator)
    contrast, brightness, down, right = (
        torch.rand(4, batch, 1, 1, 1, generator=generator, device=generator.device)
    ).to(images.device)
    changed = bent * (0.6 + 0.8 * contrast) + (brightness - 0.5)
    side = max(1, min(height, width) // 3)
    rows = torch.arange(height, device=images.device)[None, None, :, None] - (down * (height - side)).round()
    columns = torch.arange(width, device=images.device)[None, None, None, :] - (right * (width - side)).round()
    cut = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
    return torch.where(cut, changed.mean((1, 2, 3), keepdim=True), changed)


def _grid(matrix: "torch.Tensor", height: int, width: int) -> "torch.Tensor":
    """torch's affine_grid of (batch, 2, 3), as one product for the whole batch: a tenth of its time on a CPU."""
    import torch

    down = (torch.arange(height, device=matrix.device) * 2 + 1) / height - 1  # pixel centres, the image being -1 .. 1
    right = (torch.arange(width, device=matrix.device) * 2 + 1) / width - 1
    places = torch.stack(
        [right.expand(height, -1), down[:, None].expand(-1, width), torch.ones_like(right).expand(height, -1)]
    )
    moved = matrix.reshape(-1, 3) @ places.reshape(3, -1).to(matrix)  # (batch x 2, height x width)
    return moved.reshape(-1, 2, height, width).permute(0, 2, 3, 1)


def _to_array(image: Image.Image, *, size: int, channels: int) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """(size, size, channels), and what was done on the way, in words."""
    if image.format == "JPEG":
        image.draft("RGB" if channels == 3 else "L", (size, size))  # decodes at 1/2, 1/4 or 1/8 where that is enough
    changes = []
    image.load()
    if image.mode in ("P", "PA", "CMYK"):
        changes.append("CMYK" if image.mode == "CMYK" else "palette")
    if image.getexif().get(ORIENTATION, 1) in range(2, 9):
        image = ImageOps.exif_transpose(image)
        changes.append("turned")
    if image.mode in DEEP_GRAY:
        image = _eight_bits(image)
        changes.append("16 bits")
    elif image.mode == "F":
        raise ValueError("float pixels have no known range; save the image with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        changes.append("laid on white")
    return fit(image, size=size, channels=channels), tuple(changes)


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit gray to 8 bits by scaling; Pillow's own convert() saturates nearly every pixel.

    Raises:
        ValueError: a value is not of 16 bits.
    """
    values = np.asarray(image)
    if values.dtype.itemsize > 2 and (values.min() < 0 or values.max() > 0xFFFF):
        raise ValueError("gray of 32 bits has no known range; save the image with 8 or 16 bits")
    return Image.fromarray((values.astype(np.uint32) >> 8).astype(np.uint8))


@dataclass(frozen=True)
class ImageModality:
    """What the table of modalities names."""

    dtype: str = "uint8"
    sketch = staticmethod(sketch)
    moments = staticmethod(pixel_moments)
    augment = staticmethod(augment)
    augment_strongly = staticmethod(augment_strongly)
    vectors = staticmethod(pixel_vectors)
    said = staticmethod(said_of_images)
    warnings = staticmethod(warn_of_images)

    def how(self, settings: Any) -> HowImage:
        return HowImage(settings.image_size, settings.channels, settings.limits)

    def channels(self, settings: Any) -> int:
        return int(settings.channels)

    def size(self, settings: Any) -> tuple[int, ...]:
        return settings.image_size, settings.image_size

    def decode(self, source: Path | BytesIO | str, how: HowImage) -> Decoded:
        return decode(
            Path(source) if isinstance(source, str) else source,
            size=how.size,
            channels=how.channels,
            limits=how.limits,
        )

    def picture(self, row: NDArray[np.uint8], how: HowImage) -> NDArray[np.uint8]:
        return row[0] if len(row) == 1 else row.transpose(1, 2, 0)

    def traits(self, rows: NDArray[np.uint8]) -> dict[str, float]:
        return {"brightness": float(rows.mean() / 255), "contrast": float(rows.std() / 255)}


IMAGE: "Modality" = ImageModality()
