"""Images that go to a device as bytes, a quarter of what floats take, and are normalised and augmented there."""

from dataclasses import dataclass

import torch
from torch import Tensor

from headstart.modalities.image import ALL, augment
from headstart.training.rows import ImageRows


@dataclass(frozen=True)
class PlacedRows:
    """The same inputs as `rows` gives, made on a device.

    resident: all images there (rows, channels, height, width) uint8; None where each batch is sent from pinned memory,
    while the device is at work on what it was given before.
    """

    rows: ImageRows
    device: str
    resident: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, rows: Tensor, draw: torch.Generator, part: slice = ALL) -> Tensor:
        images = self.plain(rows[part])
        return augment(images, draw, of=len(rows), part=part) if self.rows.augmented else images

    def plain(self, rows: Tensor) -> Tensor:
        return self.rows.normalisation.apply(self._pixels(rows))

    def _pixels(self, rows: Tensor) -> Tensor:
        if self.resident is not None:
            return self.resident[rows.to(self.resident.device)]
        pixels = self.rows.pixels(rows)
        if self.device.startswith("cuda"):
            pixels = pixels.pin_memory()
        return pixels.to(self.device, non_blocking=True)


def placed(rows: ImageRows, device: str, *, resident: bool) -> PlacedRows:
    """resident: whether all images are sent to the device now."""
    images = rows.pixels(torch.arange(len(rows))).to(device) if resident else None
    return PlacedRows(rows, device, images)
