"""Weights of one's own, or published ones, become a source of the project: data/<name>/, under DVC."""

import json
from pathlib import Path
from typing import Any

from flows.register import Registration, check_free
from headstart.datasets.published import check_published, folder_name
from headstart.datasets.weights_folder import ABOUT, SUFFIXES, find_weights, read_about
from headstart.errors import UserError
from headstart.storage.publish import sha256
from tasks.workspace import Workspace


def look_up_weights(workspace: Workspace, text: str, *, backbone: str, channels: int) -> Registration:
    """Finds out what source.weights means: a file, a folder of Headstart's own weights, or published ones.

    A file becomes data/<stem>/, a folder data/<name>-weights/; what is known of them comes along (see weights_folder).
    Published ones are fetched. Copies nothing.

    Raises:
        UserError: no such file, not a kind of file that holds weights, nothing in it matches the backbone, or another
            dataset has its name.
        SettingsError: nobody publishes such weights of this backbone.
    """
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
    from headstart.training.adopt import check_weights

    check_weights(path, backbone=backbone, channels=channels)
    texts = {ABOUT: json.dumps(about, indent=1) + "\n"} if about else {}
    unknown = f" of unknown normalisation (ImageNet's is taken; data/{name}/{ABOUT} would say another)"
    return Registration(name, text, {path.name: path.resolve()}, texts, f"weights{'' if about else unknown}")


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
