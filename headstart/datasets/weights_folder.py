"""A source that is weights instead of images: data/<name>/ holds one file of weights, and what is known of it.

data/<name>/mine.pth           or .safetensors, .pt, .bin
data/<name>/weights.json       optional: {"mean": [...], "std": [...], "classes": [...], "image_size": 224}
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.errors import DataError

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
ABOUT = "weights.json"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of torchvision's and most of timm's


@dataclass(frozen=True)
class About:
    """What is known of a file of weights: the normalisation of the rows it was trained on, by channel, as fractions
    of the pixel range, none where it takes tokens; the names of its head's classes, in order; the image size it was
    trained at, 0 for unknown; the tokens (data.text.tokens) that it was trained with, "" where it takes images."""

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    classes: tuple[str, ...] = ()
    image_size: int = 0
    tokens: str = ""


def find_weights(directory: Path) -> Path | None:
    """The file of weights in a dataset's folder; None where the folder is not one of weights.

    Raises:
        DataError: there are several.
    """
    found = sorted(path for path in directory.glob("*") if path.suffix.lower() in SUFFIXES)
    if len(found) > 1:
        raise DataError(f"{directory}: {', '.join(path.name for path in found)}: keep one file of weights, for one W")
    return found[0] if found else None


def read_about(directory: Path) -> About:
    """What weights.json says; without one, ImageNet's normalisation and no class names.

    Raises:
        DataError: weights.json is not what it should be.
    """
    path = directory / ABOUT
    if not path.is_file():
        return About()
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()
        }
        about = About(**values)
        none = bool(about.tokens) and not about.mean  # the number of a token says nothing of how large it is
        if len(about.mean) != len(about.std) or not (none or about.mean) or min(about.std, default=1) <= 0:
            raise ValueError("mean and std need one number a channel, std above 0")
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: {error}; allowed are mean and std (a number a channel), classes (names), image_size and tokens"
        ) from None
    return about
