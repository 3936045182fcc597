"""Published weights as a dataset to fetch: data/<backbone>-<weights>/, such as resnet18-IMAGENET1K_V1. Torch-free.

They are downloaded by fetch and by nothing else; from there on DVC has them, and no run needs the network again.
"""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from headstart.datasets.weights_folder import ABOUT
from headstart.errors import DataError, SettingsError
from headstart.registry import nearest
from headstart.storage.publish import replacing

if TYPE_CHECKING:
    from torch import Tensor
    from torchvision.models import WeightsEnum

PRETRAINED = "pretrained"  # what timm's weights of a model are called, and an encoder's: its name says which ones
TO_ONE = ("googlenet", "inception_v3")  # with weights, torchvision's networks first rescale the image to [-1, 1]
_NAME = re.compile(r"(timm-)?[A-Za-z0-9_.]+-(IMAGENET1K\w*|DEFAULT|" + PRETRAINED + ")")


def folder_name(backbone: str, weights: str) -> str:
    """("resnet18", "IMAGENET1K_V1") -> "resnet18-IMAGENET1K_V1"; a colon has no place in a folder's name."""
    return f"{backbone.replace(':', '-')}-{weights}"


def is_published(name: str) -> bool:
    """Whether a dataset's name is that of published weights."""
    return _NAME.fullmatch(name) is not None


def check_published(backbone: str, weights: str) -> None:
    """Refuses weights that are not published for a backbone.

    Raises:
        SettingsError: there are none of that name; those that there are, are listed.
    """
    if backbone.startswith("timm:"):
        if weights != PRETRAINED:
            raise SettingsError(f"source.weights is {weights!r}; of a timm backbone it is {PRETRAINED!r} or a file")
        return
    if backbone.startswith("hf:"):
        raise SettingsError(
            f"source.weights is {weights!r}; of an encoder it is {PRETRAINED!r}, or weights of your own"
        )
    from torchvision.models import get_model_weights

    try:
        known = [entry.name for entry in get_model_weights(backbone)]
    except ValueError:
        raise SettingsError(
            f"source.weights is {weights!r}, but nobody publishes weights of {backbone}; give a file (.safetensors, "
            ".pth), or choose another backbone"
        ) from None
    if weights not in [*known, "DEFAULT"]:
        raise SettingsError(f"torchvision has no weights {weights!r} of {backbone}; {nearest(weights, known)}")


def download(name: str, directory: Path) -> None:
    """Writes data/<backbone>-<weights>/: the tensors, and weights.json with normalisation and class names.

    Raises:
        DataError: they cannot be downloaded; the address is named.
    """
    from safetensors.torch import save_file

    backbone, weights = name.rsplit("-", 1)
    state, about = _timm(backbone.removeprefix("timm-")) if weights == PRETRAINED else _torchvision(backbone, weights)
    with replacing(directory) as draft:
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, draft / "weights.safetensors")
        (draft / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _torchvision(backbone: str, weights: str) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    from torchvision.models import get_model_weights

    entry = get_model_weights(backbone)[weights]
    try:
        state = entry.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:  # URLError is an OSError; a wrong hash a RuntimeError
        raise DataError(
            f"{backbone}'s {weights} could not be downloaded from {entry.url}: {error}. Without a network: download "
            "that file elsewhere, copy it here and give it by --source.weights FILE"
        ) from None
    preset = entry.transforms()
    mean, std = torchvision_normalisation(backbone, entry)
    about = {
        "mean": list(mean),
        "std": list(std),
        "classes": list(entry.meta["categories"]),
        "image_size": preset.crop_size[0],
    }
    return state, about


def torchvision_normalisation(backbone: str, weights: "WeightsEnum") -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation by channel, as fractions of the pixel range, that pretrained weights expect."""
    if backbone in TO_ONE:
        return (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    preset = weights.transforms()
    return tuple(preset.mean), tuple(preset.std)


def _timm(model_name: str) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    import timm

    try:
        model = timm.create_model(model_name, pretrained=True)
    except Exception as error:  # timm and the hub behind it have no common error
        raise DataError(
            f"timm's weights of {model_name} could not be downloaded: {error}. Without a network: download them "
            "elsewhere, copy the file here and give it by --source.weights FILE"
        ) from None
    own = cast("dict[str, Any]", model.pretrained_cfg)
    return model.state_dict(), {
        "mean": list(own["mean"]),
        "std": list(own["std"]),
        "classes": [],
        "image_size": own["input_size"][-1],
    }
