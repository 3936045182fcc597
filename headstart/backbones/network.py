"""A network as an ORDERED LIST OF BLOCKS, so that "the first k blocks are fixed to W" is one number.

The contract for every family: `blocks` in order, then `head`, equal the original network's forward. The last block
ends in a vector a row (batch, feature_dim); the earlier ones in maps (batch, channels, height, width) or tokens.
"""

from collections.abc import Iterable
from typing import cast

from torch import Tensor, nn

from headstart.backbones.table import BACKBONES


class Network(nn.Module):
    """Blocks and a linear head.

    blocks: (name, module) in order. feature_dim: length of the vector that the last block gives.
    """

    def __init__(self, blocks: Iterable[tuple[str, nn.Module]], head: nn.Linear):
        super().__init__()
        named = list(blocks)
        self.block_names = tuple(name for name, _ in named)
        self.blocks = nn.ModuleList(module for _, module in named)
        self.head = head
        self.feature_dim = head.in_features

    def forward(self, images: Tensor) -> Tensor:
        """Scores (batch, classes) of normalised images (batch, channels, height, width)."""
        return self.from_boundary(images, 0)

    def from_boundary(self, activations: Tensor, boundary: int) -> Tensor:
        """Scores of the activations at a boundary: what block number `boundary` takes in; 0 is the images."""
        return cast(Tensor, self.head(self.run(activations, boundary, len(self.blocks))))

    def run(self, activations: Tensor, start: int, stop: int) -> Tensor:
        """Activations at boundary `stop` from those at boundary `start`."""
        for block in self.blocks[start:stop]:
            activations = block(activations)
        return activations


class Pooled(nn.Module):
    """Average over the positions of a map, flattened: (batch, channels, h, w) -> (batch, channels)."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean((2, 3))


def build(name: str, *, channels: int, classes: int) -> Network:
    """A registered network with fresh weights from torch's global generator.

    Raises:
        SettingsError: there is no such backbone; the nearest names are listed.
    """
    return cast(Network, BACKBONES.get(name).load()(channels=channels, classes=classes))


def with_channels(convolution: nn.Conv2d, channels: int) -> nn.Conv2d:
    """The same convolution for another number of input channels; itself where that is what it has."""
    if convolution.in_channels == channels:
        return convolution
    return nn.Conv2d(
        channels,
        convolution.out_channels,
        kernel_size=cast(tuple[int, int], convolution.kernel_size),
        stride=cast(tuple[int, int], convolution.stride),
        padding=cast(tuple[int, int], convolution.padding),
        bias=convolution.bias is not None,
    )
