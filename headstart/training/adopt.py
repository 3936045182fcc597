"""W from a file: weights that were trained elsewhere become W, matched to the backbone by name and shape."""

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from headstart.backbones.network import Network, build
from headstart.backbones.original import first_convolution
from headstart.backbones.pretrained import adapt_input
from headstart.datasets.weights_folder import About, find_weights, read_about
from headstart.errors import DataError
from headstart.storage.publish import publishing
from headstart.training.rows import Normalisation
from headstart.training.weights import WeightsCard, write_weights

MATCHES = "matches.csv"
DEPTH = 3  # dotted parts that may stand before a name: "module.backbone.layer1..."
COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Match:
    """What of a file went into a network.

    taken: our tensors by the file's names for them. fresh: our tensors that the file has not, or in another shape.
    unused: the file's tensors that went nowhere.
    """

    taken: dict[str, str]
    fresh: tuple[str, ...]
    unused: tuple[str, ...]

    def table(self) -> pd.DataFrame:
        """tensor, from, state ("taken", "fresh" or "unused"): one row a tensor."""
        rows = [(ours, theirs, "taken") for theirs, ours in self.taken.items()]
        rows += [(name, "", "fresh") for name in self.fresh] + [("", name, "unused") for name in self.unused]
        return pd.DataFrame(rows, columns=["tensor", "from", "state"])


def adopt(
    folder: Path, directory: Path, *, backbone: str, channels: int, image_size: int, seed: int
) -> tuple[WeightsCard, Match]:
    """Publishes the weights of data/<name>/ as W: weights, card, matches.csv.

    A head comes along where its classes have names (weights.json); a body without a head is enough. What does not
    match starts from random values, drawn from `seed`.

    Raises:
        DataError: the file cannot be read, or nothing in it matches the backbone.
    """
    path = find_weights(folder)
    assert path is not None
    about = read_about(folder)
    torch.manual_seed(seed)
    network = build(backbone, channels=channels, classes=max(1, len(about.classes)))
    match = load_matching(network, read_state(path), where=path, backbone=backbone)
    has_head = {"head.weight", "head.bias"} <= set(match.taken.values())
    card = WeightsCard(
        kind="network",
        strategy="adopted",
        dataset=directory.name,
        backbone=backbone,
        classes=about.classes if has_head else (),
        image_size=image_size,
        channels=channels,
        normalisation=_normalisation(about, channels),
        levels=0,
        seed=seed,
        flops=None,
    )
    tensors = network.state_dict()
    if not has_head:
        tensors |= {f"head.{name}": tensor[:1] * 0 for name, tensor in network.head.state_dict().items()}
    with publishing(directory) as draft:
        write_weights(draft, card, tensors)
        match.table().to_csv(draft / MATCHES, index=False)
    return card, match


def read_state(path: Path) -> dict[str, Tensor]:
    """Named tensors of a .safetensors file, or of a pickled one, which is opened in another process.

    Raises:
        DataError: it holds no tensors, or more than tensors.
    """
    if path.suffix.lower() == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise DataError(f"{path} is not a whole safetensors file: {error}") from None
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "state.safetensors"
        command = [sys.executable, "-m", "headstart.training.unpickle", str(path), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not out.is_file():
            said = done.stdout.strip() or f"reading it ended with code {done.returncode}"
            raise DataError(
                f"{path} cannot be read as weights: {said}. Only tensors are loaded, never other pickled objects: save "
                "model.state_dict() with torch.save or safetensors"
            )
        return {name: tensor.clone() for name, tensor in load_file(out).items()}


def load_matching(network: Network, state: Mapping[str, Tensor], *, where: Path, backbone: str) -> Match:
    """Copies into the network what matches by name and shape; the names are ours, or those of the original network.

    A first convolution for another number of channels is adapted. A head of other classes stays out.

    Raises:
        DataError: nothing of the body matches.
    """
    own = network.state_dict()
    first = f"{first_convolution(network)[0]}.weight"
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
        there = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in sorted(state.items())[:3])
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
    return list(names.items())[:3]


def _normalisation(about: About, channels: int) -> Normalisation:
    """By channel; a gray image under colour weights takes the mean over their channels."""
    if len(about.mean) == channels:
        return Normalisation(about.mean, about.std)
    mean, std = sum(about.mean) / len(about.mean), sum(about.std) / len(about.std)
    return Normalisation((mean,) * channels, (std,) * channels)
