"""What a training draws its batches from: inputs that are augmented anew, or activations computed once under W."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.modalities.table import MODALITIES

ALL = slice(None)  # rows of a batch


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation by channel, as fractions of the largest value. Weights carry the one they saw.

    Both are empty for tokens, which are numbers of symbols and stay as they are.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, inputs: Tensor) -> Tensor:
        """(batch, channels, height, width) uint8 or float in [0, 255] -> float with mean 0 and s.d. 1.

        Tokens (batch, length) -> int64.
        """
        if not self.mean:
            return inputs.long()
        mean = torch.tensor(self.mean, device=inputs.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, device=inputs.device).view(1, -1, 1, 1)
        return (inputs.float() / 255 - mean) / std


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


class Inputs(Protocol):
    """(rows, ...) as a pack has them: an array, or a pack's own, which are read when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> NDArray[Any]: ...

    @property
    def nbytes(self) -> int: ...


@dataclass(frozen=True)
class InputRows:
    """Inputs (rows, ...) as a pack has them, and the normalisation of the weights that will see them.

    modality: whose augmentation it is. places: which of the inputs they are, by number; all of them where none are
    given. Nothing is copied.
    """

    inputs: Inputs
    normalisation: Normalisation
    modality: str
    augmented: bool = True
    places: NDArray[np.intp] | None = None

    def __len__(self) -> int:
        return len(self.inputs) if self.places is None else len(self.places)

    def batch(self, rows: Tensor, draw: torch.Generator, part: slice = ALL) -> Tensor:
        return self.augment(self.plain(rows[part]), draw, of=len(rows), part=part)

    def augment(self, inputs: Tensor, draw: torch.Generator, *, of: int, part: slice) -> Tensor:
        """Rows of a batch of so many, changed as its modality does it, where they are to be."""
        if not self.augmented:
            return inputs
        return MODALITIES.get(self.modality).load().augment(inputs, draw, of=of, part=part)

    def plain(self, rows: Tensor) -> Tensor:
        return self.normalisation.apply(self.stored(rows))

    def stored(self, rows: Tensor) -> Tensor:
        """Inputs of rows as they are stored."""
        wanted = rows.numpy() if self.places is None else self.places[rows.numpy()]
        return torch.from_numpy(np.ascontiguousarray(self.inputs[wanted]))

    @property
    def nbytes(self) -> int:
        """Of all its rows."""
        return self.inputs.nbytes // max(1, len(self.inputs)) * len(self)


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
