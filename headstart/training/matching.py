"""Weights that were trained elsewhere, in our networks: matched by name and shape, for any number of channels."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from headstart.backbones.network import Network
from headstart.backbones.original import first_convolution
from headstart.errors import DataError

DEPTH = 3  # dotted parts that may stand before a name: "module.backbone.layer1..."
COUNTER = "num_batches_tracked"
SHOWN = 3  # names that a refusal shows


@dataclass(frozen=True)
class Match:
    """What of a file went into a network.

    taken: our tensors by the file's names for them. fresh: our tensors that the file has not, or in another shape.
    unused: the file's tensors that went nowhere.
    """

    taken: dict[str, str]
    fresh: tuple[str, ...]
    unused: tuple[str, ...]


def load_matching(network: Network, state: Mapping[str, Tensor], *, where: str, backbone: str) -> Match:
    """Copies into the network what matches by name and shape; the names are ours, or those of the original network.

    A first convolution for another number of channels is adapted. A head of other classes stays out.

    Raises:
        DataError: nothing of the body matches.
    """
    own = network.state_dict()
    first = _first(network)
    best: dict[str, str] = {}
    for prefix in _prefixes(state):
        for names in ({name: name for name in own}, network.original_keys):
            found = {
                prefix + theirs: ours
                for theirs, ours in names.items()
                if prefix + theirs in state and _fits(state[prefix + theirs], own[ours], first=ours == first)
            }
            best = max(best, found, key=lambda taken: sum(_is_body(ours) for ours in taken.values()))
    if not any(_is_body(ours) for ours in best.values()):
        there = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in sorted(state.items())[:SHOWN])
        wanted = ", ".join(f"{name} {tuple(own[ours].shape)}" for name, ours in _first_names(network, own))
        raise DataError(
            f"{where}: none of its {len(state)} tensors matches {backbone} by name and shape; it has {there}, ...; "
            f"{backbone} has {wanted}, ...: choose the backbone that it was trained with (--backbone)"
        )
    tensors = {
        ours: state[theirs].reshape(own[ours].shape[:1] + state[theirs].shape[1 : own[ours].dim()])
        for theirs, ours in best.items()
    }
    if first in tensors:
        tensors[first] = adapt_input(tensors[first], own[first].shape[1])
    network.load_state_dict(tensors, strict=False)
    return Match(
        taken=best,
        fresh=tuple(name for name in own if name not in tensors and not name.endswith(COUNTER)),
        unused=tuple(name for name in state if name not in best and not name.endswith(COUNTER)),
    )


def _first(network: Network) -> str:
    """Name of the weight that sees an image's channels; "" where the network takes tokens."""
    has = any(isinstance(module, nn.Conv2d) for module in network.modules())
    return f"{first_convolution(network)[0]}.weight" if has else ""


def _prefixes(state: Iterable[str]) -> list[str]:
    """What may stand before the names: nothing, or any beginning of up to three dotted parts."""
    found = {""}
    for name in state:
        parts = name.split(".")
        found |= {".".join(parts[:depth]) + "." for depth in range(1, min(DEPTH, len(parts) - 1) + 1)}
    return sorted(found, key=lambda prefix: (prefix.count("."), prefix))[:200]


def _fits(tensor: Tensor, own: Tensor, *, first: bool) -> bool:
    """Same shape; of the first layer the input channels may differ, and a head may be a convolution of one pixel."""
    if first and tensor.dim() == own.dim() == 4:
        return tensor.shape[0] == own.shape[0] and tensor.shape[2:] == own.shape[2:]
    return tensor.shape == own.shape or tensor.shape == (*own.shape, 1, 1)


def _is_body(name: str) -> bool:
    return not name.startswith("head.") and not name.endswith(COUNTER)


def _first_names(network: Network, own: Mapping[str, Tensor]) -> list[tuple[str, str]]:
    names = network.original_keys or {name: name for name in own}
    return list(names.items())[:SHOWN]


def adapt_input(weight: Tensor, channels: int) -> Tensor:
    """A first convolution's weight (filters, channels, h, w) for another number of channels (timm's rule).

    One channel gets the sum over the channels, as if the gray image stood in each of them; more get the channels over
    and over, scaled so that the sum over all stays what it was.
    """
    given = weight.shape[1]
    if channels == given:
        return weight
    if channels == 1:
        return weight.sum(1, keepdim=True)
    return weight.repeat(1, -(-channels // given), 1, 1)[:, :channels] * (given / channels)
