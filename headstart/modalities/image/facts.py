"""What is said of a dataset's images before a run: how large they are, in which colours, and what to beware of."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

SMALLER = 4  # times that most images are larger than what they are read at
GRAY, ALPHA = {"1", "L", "I", "F", "I;16", "I;16B", "I;16L"}, {"RGBA", "LA", "PA", "La", "RGBa"}


def said_of_images(facts: "pd.DataFrame") -> str:
    """Their kinds and sizes in one line. facts: width, height, mode."""
    sides = facts[["width", "height"]].min(axis=1).astype(int)
    modes = ", ".join(f"{count:,} {mode}" for mode, count in facts["mode"].value_counts().sort_index().items())
    return f"{modes}; shorter side {sides.min()} to {sides.max()} pixels, median {int(sides.median())}"


def warn_of_images(facts: "pd.DataFrame", settings: Any) -> list[str]:
    """One sentence each. facts: width, height, mode; settings: those of `data`."""
    sides, modes = facts[["width", "height"]].min(axis=1).astype(int), set(facts["mode"])
    size = settings.image_size
    small = int((sides < size).sum())
    parts = []
    if small:
        parts.append(f"{small:,} of {len(sides):,} images are smaller than data.image_size ({size}) and are enlarged")
    if sides.median() > SMALLER * size:
        parts.append(
            f"half of the images have {sides.median():.0f} pixels or more a side and are read at {size}; a larger "
            "data.image_size keeps more of them"
        )
    colour = modes - GRAY - {"LA", "La"}
    if colour and settings.channels == 1:
        parts.append(
            f"images in colour ({', '.join(sorted(colour))}) are read as gray; --data.channels 3 keeps colours"
        )
    if colour and modes & GRAY and settings.channels == 3:
        parts.append("some images are gray and some in colour; if that differs by class, a network learns it instead")
    if modes & ALPHA:
        count = int(facts["mode"].isin(ALPHA).sum())
        parts.append(f"{count:,} images have transparency and are laid on white")
    return parts
