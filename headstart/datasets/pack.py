"""The pack: a dataset decoded once and ready to train from. The one class that touches a pack's files.

packs/<dataset>/        examples.parquet, images.npy, card.json, rejected.csv, manifest.json
packs/<dataset>.test/   labels.parquet, manifest.json: the test labels, which evaluate alone opens
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headstart.errors import DataError
from headstart.storage.publish import digest, publishing, read_manifest, verify, write_json

TEST = "test"
TARGETS = {"class": "label", "value": "value"}  # the column that holds the targets of a kind
SECRET = ("path", "label", "value")  # what tells a test row's target
POOL = "pool"  # target rows whose labels may be drawn; all rows of a source


@dataclass(frozen=True)
class Card:
    """What a pack says of itself, without its rows.

    classes: names in the order of the class numbers. counts: labelled rows outside the test rows, by class.
    kind: of the target, "class" or "value". Of values: unit, and mean and s.d. in it of the rows outside the test rows.
    mean, std: of the pixels outside the test rows, by channel, as fractions of 1.
    """

    name: str
    classes: tuple[str, ...]
    counts: dict[str, int]
    splits: dict[str, int]
    rejected: dict[str, int]
    duplicates: int
    removed_overlap: int
    image_size: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    kind: str = "class"
    unit: str = ""
    target_mean: float = 0.0
    target_std: float = 1.0

    @property
    def target_kind(self) -> str:
        """The kind, under the name that cards of weights have for it too."""
        return self.kind


class Pack:
    """A published pack, opened for reading; arrays are memory-mapped."""

    def __init__(self, directory: Path):
        """Opens packs/<dataset>.

        Raises:
            IntegrityError: it was not published whole, or a file is not what its manifest says.
        """
        verify(directory)
        self.directory = directory

    @cached_property
    def card(self) -> Card:
        fields: dict[str, Any] = json.loads((self.directory / "card.json").read_text())["pack"]
        values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}
        return Card(**values)

    @cached_property
    def examples(self) -> pd.DataFrame:
        """A row an example: id, path and label or value (null for test rows: a path names a class), split, group."""
        return pd.read_parquet(self.directory / "examples.parquet")

    @cached_property
    def images(self) -> NDArray[np.uint8]:
        """(rows, channels, height, width) uint8, memory-mapped, in the order of `examples`."""
        return np.load(self.directory / "images.npy", mmap_mode="r")  # type: ignore[no-any-return]

    def rows(self, split: str) -> NDArray[np.intp]:
        """Positions of a split's rows."""
        return np.flatnonzero((self.examples["split"] == split).to_numpy())

    def class_numbers(self, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """Class numbers of labelled rows."""
        number = {label: index for index, label in enumerate(self.card.classes)}
        return np.array([number[label] for label in self.examples["label"].iloc[rows]], dtype=np.int64)

    def values(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Values of labelled rows, in the card's unit.

        Raises:
            DataError: a row has none.
        """
        values = self.examples["value"].iloc[rows].to_numpy(dtype=np.float64, copy=True)
        if not np.isfinite(values).all():
            row = rows[np.flatnonzero(~np.isfinite(values))[0]]
            raise DataError(
                f"{self.card.name}: row {self.examples['id'].iloc[row]} has no value; give one, or remove it"
            )
        return values

    def ids(self, rows: NDArray[np.intp]) -> list[str]:
        return list(self.examples["id"].iloc[rows])


def test_directory(directory: Path) -> Path:
    """Where the test labels of the pack at `directory` lie."""
    return directory.with_name(f"{directory.name}.test")


def read_test_labels(directory: Path) -> pd.DataFrame:
    """The test labels of the pack at `directory`: id, path, label or value, group. For evaluate alone.

    Raises:
        IntegrityError: they are not as published.
    """
    apart = test_directory(directory)
    verify(apart)
    return pd.read_parquet(apart / "labels.parquet")


def write_pack(
    directory: Path, *, card: Card, examples: pd.DataFrame, images: NDArray[np.uint8], rejected: pd.DataFrame
) -> None:
    """Publishes a pack and, apart from it, its test labels.

    examples: id, path, label or value, split, group, with all labels. images: (rows, height, width, channels).
    """
    is_test = examples["split"] == TEST
    with publishing(test_directory(directory)) as draft:
        columns = [name for name in ("id", "path", "label", "value", "group") if name in examples]
        examples.loc[is_test, columns].to_parquet(draft / "labels.parquet", index=False)
    with publishing(directory) as draft:
        blind = examples.assign(**{name: examples[name].mask(is_test) for name in SECRET if name in examples})
        blind.to_parquet(draft / "examples.parquet", index=False)
        np.save(draft / "images.npy", np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        rejected.to_csv(draft / "rejected.csv", index=False)
        write_json(draft / "card.json", {"pack": card.__dict__, **_declaration(card, images)})


def pack_digest(directory: Path) -> str:
    """Digest of what cells may depend on: everything in the pack, by its manifest."""
    return digest(read_manifest(directory))


def _declaration(card: Card, images: NDArray[np.uint8]) -> dict[str, Any]:
    """The card's machine-readable part: arrays and target columns, as any modality declares its own."""
    rows, height, width, channels = images.shape
    return {
        "modality": "image",
        "arrays": [
            {
                "name": "images",
                "file": "images.npy",
                "dtype": "uint8",
                "shape": [rows, channels, height, width],
            }
        ],
        "targets": [{"name": TARGETS[card.kind], "kind": card.kind, "unit": card.unit or None}],
    }
