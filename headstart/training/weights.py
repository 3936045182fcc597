"""Weights with the card that says what they are: the only place that writes and reads them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from headstart.backbones.network import Network, build
from headstart.errors import IntegrityError
from headstart.storage.publish import read_manifest, verify, write_json
from headstart.training.rows import Normalisation

WEIGHTS = "weights.safetensors"
CARD = "card.json"


@dataclass(frozen=True)
class WeightsCard:
    """What a folder of weights holds.

    kind: "network" (blocks and head), "probe" (blocks, and a linear head on pooled features of several levels) or
    "means" (blocks, and class means of centred, normalised features). strategy: which way of training made them.
    normalisation: that of the rows they were trained on; it travels with them. classes may be empty where W is a body
    without a head that is known (its head is one row of zeros then). flops: what training took, None for unknown.
    """

    kind: str
    strategy: str
    dataset: str
    backbone: str
    classes: tuple[str, ...]
    image_size: int
    channels: int
    normalisation: Normalisation
    levels: int
    seed: int
    label_budget: int | None = None
    flops: float | None = 0.0


def write_weights(directory: Path, card: WeightsCard, tensors: dict[str, Tensor]) -> None:
    """Writes weights and card into a folder that is being published."""
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, directory / WEIGHTS)
    write_json(directory / CARD, asdict(card))


def read_card(directory: Path) -> WeightsCard:
    """Reads the card alone.

    Raises:
        IntegrityError: it is missing or not a card.
    """
    try:
        fields = json.loads((directory / CARD).read_text())
        normalisation = Normalisation(**{key: tuple(value) for key, value in fields.pop("normalisation").items()})
        return WeightsCard(**(fields | {"classes": tuple(fields["classes"]), "normalisation": normalisation}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{directory / CARD} is not a card of weights: {error}") from None


def read_weights(directory: Path) -> tuple[WeightsCard, dict[str, Tensor]]:
    """Reads a published folder of weights.

    Raises:
        IntegrityError: a file is not what the manifest says, or a value is not finite.
    """
    verify(directory)
    tensors = load_file(directory / WEIGHTS)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise IntegrityError(f"{directory / WEIGHTS}: {name} holds values that are not finite; run its step again")
    return read_card(directory), tensors


def read_network(directory: Path) -> tuple[WeightsCard, Network]:
    """The network of a folder of weights of kind "network", on the CPU."""
    card, tensors = read_weights(directory)
    network = build(card.backbone, channels=card.channels, classes=max(1, len(card.classes)))
    network.load_state_dict(tensors)
    return card, network


def weights_digest(directory: Path) -> str:
    """sha256 of the weights file, as published."""
    return str(read_manifest(directory)[WEIGHTS]["sha256"])


def matching_head(network: Network, source: Network, ours: Sequence[str], theirs: Sequence[str]) -> None:
    """Starts the head from the source's rows where the class names match, from zero elsewhere (as big_vision does)."""
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.zero_()
        for row, name in enumerate(ours):
            if name in theirs:
                other = list(theirs).index(name)
                network.head.weight[row] = source.head.weight[other]
                network.head.bias[row] = source.head.bias[other]
