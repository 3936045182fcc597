"""W from a file: weights that were trained elsewhere become W, matched to the backbone by name and shape."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from headstart.backbones.network import build, check_size
from headstart.datasets.settings import DataSettings
from headstart.datasets.weights_folder import About, find_weights, read_about
from headstart.errors import DataError
from headstart.modalities.table import fields_of, unknown_moments
from headstart.storage.publish import publishing
from headstart.storage.spreadsheet import without_formulas
from headstart.training.matching import Match, load_matching
from headstart.training.rows import Normalisation
from headstart.training.screen import cannot_be_read, check_pickled, check_safetensors
from headstart.training.weights import WeightsCard, write_weights

MATCHES = "matches.csv"


def adopt(
    folder: Path, directory: Path, *, backbone: str, settings: DataSettings, seed: int
) -> tuple[WeightsCard, Match]:
    """Publishes the weights of data/<name>/ as W: weights, card, matches.csv.

    A head comes along where its classes have names (weights.json); a body without a head is enough. What does not
    match starts from random values, drawn from `seed`. settings: by which rows are decoded.

    Raises:
        DataError: the file cannot be read, or nothing in it matches the backbone.
        SettingsError: the backbone cannot take rows of this size.
    """
    path = find_weights(folder)
    assert path is not None
    about = read_about(folder)
    fields = fields_of(settings)
    channels: int = fields["channels"]
    check_size(backbone, channels=channels, size=fields["size"])
    if about.tokens and about.tokens != settings.text.tokens:
        raise DataError(
            f"{folder} holds weights for the tokens of {about.tokens}; set data.text.tokens to that (it is "
            f"{settings.text.tokens})"
        )
    torch.manual_seed(seed)
    network = build(backbone, channels=channels, classes=max(1, len(about.classes)))
    match = load_matching(network, read_state(path), where=str(path), backbone=backbone)
    has_head = "head.weight" in match.taken.values()
    card = WeightsCard(
        kind="network",
        strategy="adopted",
        dataset=directory.name,
        backbone=backbone,
        classes=about.classes if has_head else (),
        **fields,
        normalisation=_normalisation(about, settings.modality, channels),
        levels=0,
        seed=seed,
        flops=None,
    )
    tensors = network.state_dict()
    if "head.bias" not in match.taken.values():  # some heads have none
        tensors["head.bias"] = torch.zeros(card.outputs)
    if not has_head:
        tensors["head.weight"] = torch.zeros(1, network.feature_dim)
    with publishing(directory) as draft:
        write_weights(draft, card, tensors)
        without_formulas(_table(match)).to_csv(draft / MATCHES, index=False)
    return card, match


def check_weights(path: Path, *, backbone: str, channels: int) -> None:
    """Refuses a file that `adopt` would refuse, before it becomes a dataset of the project.

    Raises:
        DataError: the file cannot be read, or nothing in it matches the backbone.
    """
    network = build(backbone, channels=channels, classes=1)
    load_matching(network, read_state(path), where=str(path), backbone=backbone)


def read_state(path: Path) -> dict[str, Tensor]:
    """Named tensors of a .safetensors file, or of a pickled one, which is opened in another process.

    Raises:
        DataError: it holds no tensors, more than tensors, or a value that is not finite.
    """
    state = _read_safetensors(path) if path.suffix.lower() == ".safetensors" else _read_pickled(path)
    for name, tensor in state.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise DataError(f"{path}: {name} holds values that are not finite; give other weights")
    return state


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    check_safetensors(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"{path} is not a whole safetensors file: {error}") from None


def _read_pickled(path: Path) -> dict[str, Tensor]:
    check_pickled(path)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "state.safetensors"
        command = [sys.executable, "-m", "headstart.training.unpickle", str(path), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not out.is_file():
            raise DataError(
                cannot_be_read(path, done.stdout.strip() or f"reading it ended with code {done.returncode}")
            )
        return {name: tensor.clone() for name, tensor in load_file(out).items()}


def _table(match: Match) -> pd.DataFrame:
    """tensor, from, state ("taken", "fresh" or "unused"): one row a tensor."""
    rows = [(ours, theirs, "taken") for theirs, ours in match.taken.items()]
    rows += [(name, "", "fresh") for name in match.fresh] + [("", name, "unused") for name in match.unused]
    return pd.DataFrame(rows, columns=["tensor", "from", "state"])


def _normalisation(about: About, modality: str, channels: int) -> Normalisation:
    """By channel; a gray image under colour weights takes the mean over their channels."""
    if not unknown_moments(modality, channels)[0]:  # tokens
        return Normalisation((), ())
    if len(about.mean) == channels:
        return Normalisation(about.mean, about.std)
    mean, std = sum(about.mean) / len(about.mean), sum(about.std) / len(about.std)
    return Normalisation((mean,) * channels, (std,) * channels)
