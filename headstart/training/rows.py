"""What a training draws its batches from: images that are augmented anew, or activations computed once under W."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.modalities.image import ALL, augment


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation by channel, as fractions of the pixel range. Weights carry the one they saw."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) uint8 or float in [0, 255] -> float with mean 0 and s.d. 1."""
        mean = torch.tensor(self.mean, device=images.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(1, -1, 1, 1)
        return (images.float() / 255 - mean) / std


class Rows(Protocol):
    """Inputs of a training, by position."""

    def __len__(self) -> int: ...

    def batch(self, rows: Tensor, draw: torch.Generator, part: slice = ALL) -> Tensor:
        """Inputs of training rows, with whatever is random about them drawn from `draw`.

        part: of these rows, which are wanted; what is drawn for them is what it would be with the others.
        """
        ...

    def plain(self, rows: Tensor) -> Tensor:
        """Inputs of rows as they are, for prediction."""
        ...


class Images(Protocol):
    """(rows, channels, height, width) uint8: an array, or a pack's, which are read when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> NDArray[np.uint8]: ...

    @property
    def nbytes(self) -> int: ...


@dataclass(frozen=True)
class ImageRows:
    """Images (rows, channels, height, width) uint8 and the normalisation of the weights that will see them.

    places: which of the images they are, by number; all of them where none are given. Nothing is copied.
    """

    images: Images
    normalisation: Normalisation
    augmented: bool = True
    places: NDArray[np.intp] | None = None

    def __len__(self) -> int:
        return len(self.images) if self.places is None else len(self.places)

    def batch(self, rows: Tensor, draw: torch.Generator, part: slice = ALL) -> Tensor:
        images = self.plain(rows[part])
        return augment(images, draw, of=len(rows), part=part) if self.augmented else images

    def plain(self, rows: Tensor) -> Tensor:
        return self.normalisation.apply(self.pixels(rows))

    def pixels(self, rows: Tensor) -> Tensor:
        """Images of rows, uint8, as they are stored."""
        wanted = rows.numpy() if self.places is None else self.places[rows.numpy()]
        return torch.from_numpy(np.ascontiguousarray(self.images[wanted]))

    @property
    def nbytes(self) -> int:
        """Of all its images."""
        return self.images.nbytes // max(1, len(self.images)) * len(self)


@dataclass(frozen=True)
class ActivationRows:
    """Activations at a block boundary: plain (rows, ...), and augmented views of each row (rows, views, ...)."""

    activations: NDArray[np.float32]
    views: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.activations)

    def batch(self, rows: Tensor, draw: torch.Generator, part: slice = ALL) -> Tensor:
        view = torch.randint(self.views.shape[1], (len(rows),), generator=draw)[part]
        return torch.from_numpy(np.ascontiguousarray(self.views[rows[part].numpy(), view.numpy()]))

    def plain(self, rows: Tensor) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(self.activations[rows.numpy()]))
