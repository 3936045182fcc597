"""Weights of one's own, or published ones, become a source of the project: data/<name>/, under DVC."""

import json
import re
from pathlib import Path
from typing import Any

from flows.register import Registration, check_free
from headstart.datasets.published import PRETRAINED, check_published, folder_name
from headstart.datasets.settings import DataSettings
from headstart.datasets.weights_folder import ABOUT, SUFFIXES, find_weights, read_about
from headstart.errors import SettingsError, UserError
from headstart.modalities.settings import BYTES
from headstart.modalities.table import fields_of
from headstart.modalities.text.tokenizers import FILE, padding_of, tokenizer_file
from headstart.storage.publish import replacing, sha256
from tasks.workspace import Workspace

ENCODER = "hf:"  # a backbone of the transformers library begins with it


def look_up_weights(workspace: Workspace, text: str, *, backbone: str, data: DataSettings) -> Registration:
    """Finds out what source.weights means: a file, a folder of Headstart's own weights, or published ones.

    A file becomes data/<stem>/, a folder data/<name>-weights/; what is known of them comes along (see weights_folder).
    Published ones are fetched, but for those of an encoder, which lie in its folder: see `_of_encoder`. Adds nothing
    to the project. data: how rows are decoded.

    Raises:
        UserError: no such file, not a kind of file that holds weights, nothing in it matches the backbone, or another
            dataset has its name.
        SettingsError: nobody publishes such weights of this backbone.
    """
    if backbone.startswith(ENCODER) and text == PRETRAINED:
        return _of_encoder(workspace, backbone, data)
    path = Path(text).expanduser()
    name = path.stem
    if path.is_dir():
        name, path = f"{path.resolve().name}-weights", path / "weights.safetensors"
    if not path.exists() and not path.suffix and path.parent == Path("."):
        check_published(backbone, text)
        return Registration(folder_name(backbone, text), text)
    if not path.is_file() or path.suffix.lower() not in SUFFIXES:
        raise UserError(
            f"{text} is not a file of weights ({', '.join(SUFFIXES)}), nor the name of published ones "
            "(IMAGENET1K_V1; pretrained for a timm backbone)"
        )
    there = find_weights(workspace.data(name))
    if there and sha256(there) == sha256(path):
        return Registration(name, text)
    check_free(workspace, name, text)
    about = _about(path)
    if backbone.startswith(ENCODER) and not about:
        raise UserError(
            f"{text} does not say by which tokens it was trained; give --source.weights {PRETRAINED} for what lies "
            f"in the folder of {backbone}, or an {ABOUT} beside the file that names them"
        )
    from headstart.training.adopt import check_weights

    check_weights(path, backbone=backbone, channels=fields_of(data)["channels"])
    texts = {ABOUT: json.dumps(about, indent=1) + "\n"} if about else {}
    unknown = f" of unknown normalisation (ImageNet's is taken; data/{name}/{ABOUT} would say another)"
    return Registration(name, text, {path.name: path.resolve()}, texts, f"weights{'' if about else unknown}")


def _of_encoder(workspace: Workspace, backbone: str, data: DataSettings) -> Registration:
    """The weights in an encoder's folder, as data/<folder>-weights/, its embedding in the order of our tokens.

    Raises:
        SettingsError: there is no such encoder, or texts are read by other tokens than its own.
        UserError: its folder has no weights.
        DataError: they cannot be read.
    """
    from safetensors.torch import save_file

    from headstart.backbones.hf_models import NEEDED, model_folder
    from headstart.backbones.text_transformer import for_our_tokens
    from headstart.training.adopt import read_state

    name = backbone.removeprefix(ENCODER)
    folder = model_folder(name)
    own = folder / FILE
    if data.text.tokens == BYTES or tokenizer_file(data.text.tokens).resolve() != own.resolve():
        raise SettingsError(
            f"the weights of {backbone} know the tokens of {own} alone; add --data.text.tokens {own} (it is "
            f"{data.text.tokens})"
        )
    weights = folder / NEEDED[-1]
    if not weights.is_file():
        raise UserError(f"{folder} has no {weights.name}; save the model there as safetensors")
    dataset = re.sub(r"[^\w.+-]", "-", Path(name.partition("@")[0]).name).lstrip(".+-") + "-weights"
    made = workspace.state / "encoders" / dataset / weights.name
    with replacing(made.parent) as draft:
        state = for_our_tokens(read_state(weights), padding_of(own))
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, draft / weights.name)
    there = find_weights(workspace.data(dataset))
    if there and sha256(there) == sha256(made):
        return Registration(dataset, backbone)
    check_free(workspace, dataset, backbone)
    about = {"mean": [], "std": [], "tokens": data.text.tokens}
    return Registration(dataset, backbone, {made.name: made}, {ABOUT: json.dumps(about, indent=1) + "\n"}, "weights")


def _about(path: Path) -> dict[str, Any] | None:
    """What is known of a file of weights: by the weights.json, or the card of Headstart's own, beside it."""
    beside, card = path.with_name(ABOUT), path.with_name("card.json")
    if beside.is_file():
        read_about(path.parent)
        return dict(json.loads(beside.read_text(encoding="utf-8")))
    if path.name == "weights.safetensors" and card.is_file():
        try:
            fields = json.loads(card.read_text(encoding="utf-8"))
            return fields["normalisation"] | {
                "classes": fields["classes"],
                "image_size": min(fields["size"]),
                "tokens": fields["preparation"].get("text", {}).get("tokens", ""),
            }
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{card} is not the card of weights that Headstart trained ({error}); give the file itself, {path}, "
                f"with an {ABOUT} beside it that says their normalisation"
            ) from None
    return None
