"""A library's own weights in our networks: which of its tensors goes where, and for how many channels."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from headstart.backbones.network import Network, build
from headstart.backbones.original import first_convolution
from headstart.errors import DataError

AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # heads that GoogLeNet and Inception have for their own training alone
SHOWN = 3


def original_keys(name: str) -> dict[str, str]:
    """Name of each tensor in the library's own network, such as layer1.0.conv1.weight -> its name in ours."""
    with torch.device("meta"):
        return build(name, channels=3, classes=1000).original_keys


def load_original(network: Network, state: Mapping[str, Tensor], *, where: str) -> None:
    """Loads the state dict of the library's own network; a head for other classes stays as it is.

    Raises:
        DataError: a tensor is missing, unknown or of another shape; `where` says what file or weights it was.
    """
    network.load_state_dict(network.state_dict() | translated(network, state, where=where))


def translated(network: Network, state: Mapping[str, Tensor], *, where: str) -> dict[str, Tensor]:
    """The state dict of the library's own network under our names.

    Auxiliary heads are left out, and the head where it is for another number of classes. The first convolution is
    adapted to the network's number of channels.

    Raises:
        DataError: a tensor is missing, unknown or of another shape.
    """
    keys, own = network.original_keys, network.state_dict()
    missing = [key for key in keys if key not in state and not key.endswith("num_batches_tracked")]
    unknown = [key for key in state if key not in keys and not key.startswith(AUXILIARY)]
    if missing or unknown:
        raise DataError(
            f"{where} does not hold the weights of this backbone: {_some(missing)} missing, {_some(unknown)} unknown; "
            f"give weights of the same architecture"
        )
    found = {keys[key]: tensor for key, tensor in state.items() if key in keys}
    found["head.weight"] = found["head.weight"].flatten(1)  # SqueezeNet's is a convolution
    found.setdefault("head.bias", torch.zeros(len(found["head.weight"])))  # MaxViT's has none
    first = f"{first_convolution(network)[0]}.weight"
    found[first] = adapt_input(found[first], own[first].shape[1])
    if len(found["head.weight"]) != len(own["head.weight"]):
        del found["head.weight"], found["head.bias"]
    for key, tensor in found.items():
        if tensor.shape != own[key].shape:
            raise DataError(
                f"{where}: {key} has shape {tuple(tensor.shape)}, but this backbone's has {tuple(own[key].shape)}; "
                f"give weights of the same architecture and image size"
            )
    return found


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


def _some(keys: Iterable[str]) -> str:
    names = list(keys)
    shown = f" ({', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''})" if names else ""
    return f"{len(names)} tensors{shown}"
