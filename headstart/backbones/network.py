"""A network as an ORDERED LIST OF BLOCKS, so that "the first k blocks are fixed to W" is one number.

The contract for every family: `blocks` in order, then `head`, equal the original network's forward. All state of the
original lies in a block or in the head. The last block ends in a vector a row (batch, feature_dim); the earlier ones
in maps (batch, channels, height, width) or in tokens (batch, positions, channels). No block changes what it takes in.
"""

from collections.abc import Iterable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from headstart.backbones.table import BACKBONES, in_words
from headstart.errors import SettingsError


class Network(nn.Module):
    """Blocks and a linear head.

    blocks: (name, module) in order. feature_dim: length of the vector that the last block gives.
    original: the library's network that the blocks were taken from; renamed: the names of its tensors that were copied
    rather than taken, and ours. original_keys: name of each of its tensors -> name in our state dict.
    """

    def __init__(
        self,
        blocks: Iterable[tuple[str, nn.Module]],
        head: nn.Linear,
        *,
        original: nn.Module | None = None,
        renamed: Mapping[str, str] | None = None,
    ):
        super().__init__()
        named = list(blocks)
        self.block_names = tuple(name for name, _ in named)
        self.blocks = nn.ModuleList(module for _, module in named)
        self.head = head
        self.feature_dim = head.in_features
        self.original_keys = {**_same_tensors(original, self), **(renamed or {})} if original else {}

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores (batch, classes) of normalised maps (batch, channels, height, width), or of tokens (batch, length)."""
        return self.from_boundary(inputs, 0)

    def from_boundary(self, activations: Tensor, boundary: int) -> Tensor:
        """Scores of the activations at a boundary: what block number `boundary` takes in; 0 is the inputs."""
        return cast(Tensor, self.head(self.run(activations, boundary, len(self.blocks))))

    def run(self, activations: Tensor, start: int, stop: int) -> Tensor:
        """Activations at boundary `stop` from those at boundary `start`."""
        for block in self.blocks[start:stop]:
            activations = block(activations)
        return activations


def _same_tensors(original: nn.Module, network: nn.Module) -> dict[str, str]:
    """Names of the same tensor in both state dicts: which module went where."""
    ours = {id(tensor): key for key, tensor in network.state_dict(keep_vars=True).items()}
    theirs = original.state_dict(keep_vars=True)
    return {key: ours[id(tensor)] for key, tensor in theirs.items() if id(tensor) in ours}


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


def restore(name: str, tensors: Mapping[str, Tensor], *, channels: int, classes: int) -> Network:
    """A registered network that holds these tensors themselves; a head that is not among them is of zeros.

    It is laid out on meta tensors, so that nothing is drawn only to be overwritten: of vgg11 that took 0.8 s.

    Raises:
        SettingsError: there is no such backbone.
        RuntimeError: a tensor of the blocks is missing, is of another shape, or is none of the network's.
    """
    network = _outline(name, channels=channels, classes=classes)
    head = {f"head.{key}": torch.zeros(tensor.shape) for key, tensor in network.head.state_dict().items()}
    network.load_state_dict(head | dict(tensors), assign=True)
    return network


def _outline(name: str, *, channels: int, classes: int) -> Network:
    """The network without values where its state dict will give all of them; else with fresh weights."""
    if name in BACKBONES:  # one of timm's may compute with its values while it is built
        with torch.device("meta"):
            network = build(name, channels=channels, classes=classes)
        if {key for key, _ in network.named_buffers()} <= network.state_dict().keys():
            return network
    return build(name, channels=channels, classes=classes)


def blank(name: str, *, channels: int, size: tuple[int, ...], rows: int = 1) -> Tensor:
    """Inputs of the shape and type that a network takes, without content: of maps float32, of tokens int64."""
    if BACKBONES.get(name).takes == "maps":
        return torch.zeros(rows, channels, *size)
    return torch.zeros(rows, *size, dtype=torch.int64)


def check_size(name: str, *, channels: int, size: tuple[int, ...]) -> None:
    """Refuses a size that a network cannot take; one of timm's, of which the table knows nothing, is tried out.

    It is tried on meta tensors, which cost no arithmetic.

    Raises:
        SettingsError: the size, and one that it takes.
    """
    refusal = BACKBONES.get(name).refusal(size)
    if refusal is None and name not in BACKBONES and BACKBONES.get(name).takes == "maps":
        from headstart.backbones.timm_models import native_size

        with torch.device("meta"), torch.no_grad():
            network = build(name, channels=channels, classes=2).eval()
            try:
                network(blank(name, channels=channels, size=size))
            except (RuntimeError, AssertionError, ValueError) as error:
                refusal = f"{name} cannot take it ({error}); set data.image_size to {native_size(name)}"
    if refusal:
        raise SettingsError(f"rows are of {in_words(size)}, but {refusal}, or choose another backbone")


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
