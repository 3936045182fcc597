"""Weights with the card that says what they are: the only place that writes and reads them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from headstart.backbones.network import Network, restore
from headstart.datasets.pack import Attribute, read_attributes
from headstart.datasets.values import Value, read_values
from headstart.errors import DataError, IntegrityError
from headstart.modalities.table import row_shape
from headstart.objectives.calibration import Calibration
from headstart.storage.publish import MANIFEST, read_manifest, verify, write_json
from headstart.training.rows import Normalisation
from headstart.training.screen import check_safetensors

WEIGHTS = "weights.safetensors"
CARD = "card.json"


@dataclass(frozen=True)
class WeightsCard:
    """What a folder of weights holds.

    kind: "network" (blocks and head), "probe" (blocks, and a linear head on pooled features of several levels), "means"
    (blocks, and class means of centred, normalised features), "neighbours" (the same with labelled rows and their
    targets) or "tfidf" (features/bags.py: no network, and backbone is empty). strategy: which way of training made
    them. modality, channels, size, preparation: of what they take in (modalities/table.py). normalisation: that of the
    rows they were trained on; it travels with them. classes may be empty where W is a body without a head that is known
    (its head is one row of zeros then). flops: what training took, None for unknown. pack: digest of the pack that W
    was trained on, empty where it was trained elsewhere.
    label_budget: labels a class (or in all), None for all that there are. trained_on: in words, where a model was
    fitted once more to all labelled rows and its score is not its own. target_kind: "class"; "value": an output is then
    one of values less its mean, over its std; or "attribute": the outputs are then those of the attributes, one after
    the other. calibration: fitted on rows that were held out of the label budget; its temperature is 1 where the
    tensors hold the one that was found.
    """

    kind: str
    strategy: str
    dataset: str
    backbone: str
    classes: tuple[str, ...]
    modality: str
    channels: int
    size: tuple[int, ...]
    preparation: dict[str, Any]
    normalisation: Normalisation
    levels: int
    seed: int
    label_budget: int | None = None
    flops: float | None = 0.0
    target_kind: str = "class"
    values: tuple[Value, ...] = ()
    pack: str = ""
    trained_on: str = ""
    attributes: tuple[Attribute, ...] = ()
    calibration: Calibration = Calibration()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row that they take in."""
        return row_shape(self.modality, self.channels, self.size)

    @property
    def outputs(self) -> int:
        """Length of the head's output: of classes, attributes or values, or one: zeros of a head not known."""
        return len(self.classes) or sum(attribute.outputs for attribute in self.attributes) or len(self.values) or 1


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
        attributes = read_attributes(fields.get("attributes", ()))
        own = {
            "classes": tuple(fields["classes"]),
            "normalisation": normalisation,
            "attributes": attributes,
            "values": read_values(fields.get("values", ())),
            "size": tuple(fields["size"]),
            "calibration": _read_calibration(fields.get("calibration", {})),
        }
        card = WeightsCard(**(fields | own))
        if min(*card.size, card.channels) < 1 or not all(deviation > 0 for deviation in normalisation.std):
            raise ValueError("size, channels and each std must be above 0")
        return card
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{directory / CARD} is not a card of weights: {error}") from None


def _read_calibration(fields: dict[str, Any]) -> Calibration:
    found = Calibration(**(fields | {"half_widths": tuple(fields.get("half_widths", ()))}))
    if not found.temperature > 0 or not all(width >= 0 for width in found.half_widths):
        raise ValueError("a temperature must be above 0, and no half-width below it")
    return found


def read_weights(directory: Path) -> tuple[WeightsCard, dict[str, Tensor]]:
    """Reads a published folder of weights.

    Raises:
        IntegrityError: a file is not what the manifest says, or a value is not finite.
    """
    missing = {WEIGHTS, CARD} - verify(directory).keys()
    if missing:
        raise IntegrityError(f"{directory / MANIFEST} does not list {', '.join(sorted(missing))}; run its step again")
    try:
        check_safetensors(directory / WEIGHTS)
    except DataError as error:
        raise IntegrityError(f"{error}; run its step again") from None
    tensors = load_file(directory / WEIGHTS)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise IntegrityError(f"{directory / WEIGHTS}: {name} holds values that are not finite; run its step again")
    return read_card(directory), tensors


def read_network(directory: Path) -> tuple[WeightsCard, Network]:
    """The network of a folder of weights of kind "network", on the CPU."""
    card, tensors = read_weights(directory)
    return card, restore(card.backbone, tensors, channels=card.channels, classes=card.outputs)


def weights_digest(directory: Path) -> str:
    """sha256 of the weights file, as published."""
    return str(read_manifest(directory)[WEIGHTS]["sha256"])
