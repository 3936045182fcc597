"""Inputs that go to a device as they are stored, a quarter of what floats take, and are made ready there."""

from dataclasses import dataclass

import torch
from torch import Tensor

from headstart.training.rows import ALL, InputRows


@dataclass(frozen=True)
class PlacedRows:
    """The same inputs as `rows` gives, made on a device.

    resident: all of them there (rows, ...); None where each batch is sent from pinned memory,
    while the device is at work on what it was given before.
    """

    rows: InputRows
    device: str
    resident: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, rows: Tensor, draw: torch.Generator, part: slice = ALL) -> Tensor:
        return self.rows.augment(self.plain(rows[part]), draw, of=len(rows), part=part)

    def plain(self, rows: Tensor) -> Tensor:
        return self.rows.normalisation.apply(self._stored(rows))

    def _stored(self, rows: Tensor) -> Tensor:
        if self.resident is not None:
            return self.resident[rows.to(self.resident.device)]
        stored = self.rows.stored(rows)
        if self.device.startswith("cuda"):
            stored = stored.pin_memory()
        return stored.to(self.device, non_blocking=True)


def placed(rows: InputRows, device: str, *, resident: bool) -> PlacedRows:
    """resident: whether all of them are sent to the device now."""
    there = rows.stored(torch.arange(len(rows))).to(device) if resident else None
    return PlacedRows(rows, device, there)
