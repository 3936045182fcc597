"""Delivered models that somebody tampered with: the manifest is true to them, so that the loader alone can tell."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from corpus.case import Case
from corpus.models import BACKBONE, CHANNELS, state
from headstart.storage.publish import publishing, write_manifest
from headstart.training.rows import Normalisation
from headstart.training.weights import CARD, WEIGHTS, WeightsCard, write_weights


def deliver(folder: Path) -> Path:
    """A model of two classes with random weights, as a run would publish it."""
    card = WeightsCard(
        kind="network",
        strategy="full",
        dataset="shapes",
        backbone=BACKBONE,
        classes=("a", "b"),
        modality="image",
        channels=CHANNELS,
        size=(12, 12),
        preparation={"image_size": 12, "channels": CHANNELS},
        normalisation=Normalisation((0.5,), (0.25,)),
        levels=0,
        seed=0,
    )
    with publishing(folder) as draft:
        write_weights(draft, card, state())
    return folder


def _card(**changes: Any) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        fields = json.loads((folder / CARD).read_text())
        (folder / CARD).write_text(json.dumps(fields | changes))
        write_manifest(folder)

    return alter


def _weights(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)
        write_manifest(folder)

    return alter


def _bytes(change: Callable[[bytes], bytes], *, manifest: bool = True) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        (folder / WEIGHTS).write_bytes(change((folder / WEIGHTS).read_bytes()))
        if manifest:
            write_manifest(folder)

    return alter


def _manifest(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "manifest.json").write_text(text)  # type: ignore[return-value]


FIRST = "blocks.0.0.weight"

CASES = [
    Case("flipped", "one bit of the weights", "X", "not the file that was published",
         _bytes(lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:], manifest=False)),
    Case("cut", "weights cut at half", "X", "not a whole safetensors",
         _bytes(lambda content: content[: len(content) // 2])),
    Case("no_card", "no card", "X", "card.json", lambda folder: (folder / CARD).unlink()),
    Case("no_manifest", "no manifest", "X", "has no manifest.json", lambda folder: (folder / "manifest.json").unlink()),
    Case("manifest_list", "a manifest that is a list", "X", "manifest.json", _manifest("[]")),
    Case("manifest_numbers", "a manifest of numbers", "X", "manifest.json", _manifest('{"weights.safetensors": 1}')),
    Case("manifest_without", "a manifest that leaves the weights out", "X", "manifest.json", _manifest("{}")),
    Case("kind", "a kind that there is not", "X", "as its card says", _card(kind="pickle")),
    Case("backbone", "an import path for a backbone", "X", "os:system", _card(backbone="os:system")),
    Case("channels", "another number of channels", "X", "as its card says", _card(channels=7)),
    Case("classes", "more classes than the head has", "X", "as its card says", _card(classes=["a", "b", "c"])),
    Case("size", "a negative image size", "X", "card", _card(size=[-4, -4])),
    Case("text_size", "a size in words", "X", "card", _card(size="large")),
    Case("normalisation", "a deviation of zero", "X", "card",
         _card(normalisation={"mean": [0.5], "std": [0.0]})),
    Case("nan", "a weight that is no number", "X", "not finite",
         _weights(lambda tensors: tensors | {FIRST: torch.full_like(tensors[FIRST], float("nan"))})),
    Case("shape", "a tensor of another shape", "X", "as its card says",
         _weights(lambda tensors: tensors | {FIRST: torch.zeros(3, 3)})),
    Case("missing", "a tensor less", "X", "as its card says",
         _weights(lambda tensors: {name: tensor for name, tensor in tensors.items() if name != FIRST})),
    Case("extra", "a tensor more", "X", "as its card says",
         _weights(lambda tensors: tensors | {"blocks.9.weight": torch.zeros(3)})),
    Case("double", "numbers of 64 bits", "X", "torch.float64",
         _weights(lambda tensors: {name: tensor.double() for name, tensor in tensors.items()})),
    Case("integers", "weights that are whole numbers", "X", "as its card says",
         _weights(lambda tensors: tensors | {FIRST: tensors[FIRST].to(torch.int32)})),
]  # fmt: skip
