"""Weights of one's own, or published ones, become a source of the project: data/<name>/, under DVC."""

import json
from pathlib import Path
from typing import Any

from flows.console import show
from headstart.datasets.published import check_published, folder_name
from headstart.datasets.weights_folder import ABOUT, SUFFIXES, find_weights, read_about
from headstart.errors import UserError
from headstart.storage.publish import sha256
from tasks.workspace import Workspace

WEIGHTS = "source.weights"  # a flag and no setting: it makes source.data name a folder of weights


def register_weights(workspace: Workspace, text: str, *, backbone: str) -> str:
    """Weights become a dataset of the project: a file is copied to data/<stem>/, published ones are fetched.

    A weights.json beside the file, or the card.json of weights that Headstart trained, comes along.
    Returns the dataset's name.

    Raises:
        UserError: no such file, not a kind of file that holds weights, or another dataset has its name.
        SettingsError: nobody publishes such weights of this backbone.
    """
    path = Path(text).expanduser()
    if path.is_dir():
        path = path / "weights.safetensors"
    if not path.exists() and not path.suffix and path.parent == Path("."):
        check_published(backbone, text)
        return folder_name(backbone, text)
    if not path.is_file() or path.suffix.lower() not in SUFFIXES:
        raise UserError(
            f"{text} is not a file of weights ({', '.join(SUFFIXES)}), nor the name of published ones "
            "(IMAGENET1K_V1; pretrained for a timm backbone)"
        )
    name = path.stem if Path(text).suffix else Path(text).resolve().name
    folder = workspace.data(name)
    if folder.exists():
        there = find_weights(folder)
        if there and sha256(there) == sha256(path):
            return name
        raise UserError(
            f"data/{name} is there already, and is not this file; remove it first (rm -r data/{name} data/{name}.dvc), "
            "or give your file another name"
        )
    from tasks.versioning import versioning_of

    about = _about(path)
    texts = {ABOUT: json.dumps(about, indent=1) + "\n"} if about else {}
    versioning_of(workspace.root).add({path.name: path.resolve()}, folder, texts=texts)
    known = "" if about else f"; of unknown normalisation, ImageNet's is taken: data/{name}/{ABOUT} would say another"
    show(f"{text}: weights, now data/{name} and versioned by DVC (commit data/{name}.dvc to keep them){known}")
    return name


def _about(path: Path) -> dict[str, Any] | None:
    """What is known of a file of weights: by the weights.json, or the card of Headstart's own, beside it."""
    beside, card = path.with_name(ABOUT), path.with_name("card.json")
    if beside.is_file():
        read_about(path.parent)
        return dict(json.loads(beside.read_text(encoding="utf-8")))
    if path.name == "weights.safetensors" and card.is_file():
        fields = json.loads(card.read_text(encoding="utf-8"))
        return fields["normalisation"] | {"classes": fields["classes"], "image_size": fields["image_size"]}
    return None
