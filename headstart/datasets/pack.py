"""The pack: a dataset decoded once and ready to train from. The one class that touches a pack's files.

packs/<dataset>/        examples.parquet, inputs.npy, card.json, rejected.csv, manifest.json
                        the inputs in several files where they are large: see stored.py
                        folds.npy too, where cross-validation takes the place of a test set
                        attributes.npy too, of a source whose rows have attributes in place of classes or values
                        signatures.npy too, of a target whose classes are described
packs/<dataset>.test/   labels.parquet, manifest.json: the test labels, which evaluate alone opens
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headstart.datasets.stored import Stored, write_shards
from headstart.datasets.values import OF_CLASS, OF_ONE, Columns, Value, columns_of, given_columns, read_values
from headstart.errors import DataError, IntegrityError
from headstart.modalities.table import MODALITIES, ModalityEntry, row_shape
from headstart.storage.publish import digest, publishing, read_manifest, verify, verify_once, write_json

CARD = "card.json"
FOLDS = "folds.npy"
ATTRIBUTES = "attributes.npy"
SIGNATURES = "signatures.npy"
TEST = "test"
POOL = "pool"  # target rows whose labels may be drawn; all rows of a source
UNLABELLED = "unlabelled"  # rows without a label
BLOCK = 256  # rows that are moved at a time
INPUTS = "inputs"  # what a network takes in: images, spectrograms or tokens, a row each


@dataclass(frozen=True)
class Attribute:
    """A column of what rows have in place of a class: one output of a head, or of tags one a category.

    categories: of tags, in the order of their codes. mean, std: of numbers, over the rows that were trained on.
    """

    name: str
    kind: Literal["yes/no", "number", "tag"]
    categories: tuple[str, ...] = ()
    mean: float = 0.0
    std: float = 1.0

    @property
    def outputs(self) -> int:
        return len(self.categories) or 1


def read_attributes(fields: Iterable[dict[str, Any]]) -> tuple[Attribute, ...]:
    """Attributes as a card has them in JSON."""
    return tuple(Attribute(**(own | {"categories": tuple(own["categories"])})) for own in fields)


@dataclass(frozen=True)
class Card:
    """What a pack says of itself, without its rows.

    classes: names in the order of the class numbers, none where the target is a number. counts: rows of the pool by
    class. modality, channels, size, preparation: of the inputs (modalities/table.py); a row has the shape `shape`.
    mean, std: of the pool's inputs, by channel, as fractions of 1; of tokens nothing. kind: what the target is.
    values: what it is where it is numbers, with their means and s.d. over the pool. own_test: whether the dataset
    brought its test rows. validation: how many of the pool's rows it gave for validation. removed_overlap: rows left
    out because they repeat a test row, of the target where this is a source. test_units: independent units (rows or
    groups) that are scored. folds: parts of cross-validation in place of a test set, 0 where there is one;
    largest_label_budget: rows that every class (or the values) has outside of each fold, 0 where there are none.
    attributes: of a source's rows, where they have these in place of classes or values. signatures: columns of what is
    known of each class. changed: how many rows had to be made like the others, by what was done to them. statistics: of
    what the modality tells of each row, such as width: the least, the median, the 95th percentile and the largest.
    near_duplicates: rows that nearly repeat another, and are kept on its side of every split.
    """

    name: str
    classes: tuple[str, ...]
    counts: dict[str, int]
    splits: dict[str, int]
    rejected: dict[str, int]
    duplicates: int
    removed_overlap: int
    modality: str
    channels: int
    size: tuple[int, ...]
    preparation: dict[str, Any]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    kind: Literal["class", "value", "attribute"] = "class"
    values: tuple[Value, ...] = ()
    own_test: bool = False
    validation: int = 0
    test_units: int = 0
    folds: int = 0
    largest_label_budget: int = 0
    attributes: tuple[Attribute, ...] = ()
    signatures: tuple[str, ...] = ()
    changed: dict[str, int] = field(default_factory=dict)
    near_duplicates: int = 0
    statistics: dict[str, list[float]] = field(default_factory=dict)

    @property
    def row_kind(self) -> ModalityEntry:
        """What its rows are."""
        return MODALITIES.get(self.modality)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row: (channels, height, width) of a map, (length,) of tokens."""
        return row_shape(self.modality, self.channels, self.size)

    @property
    def scored(self) -> str:
        """The split of the rows that evaluation scores."""
        return POOL if self.folds else TEST

    def overlap(self, budget: int) -> float:
        """Share of labels that two seeds will have in common, as the verdict counts it; 0 with a test set."""
        return expected_overlap(budget, self.counts.values() or [self.splits.get(POOL, 0)], folds=self.folds)

    @property
    def most_labels(self) -> int:
        """Labels that every class (or the values) can give beside a test set; 0 where there is none."""
        return 0 if self.folds else min(self.counts.values(), default=self.splits.get(POOL, 0))

    @property
    def targets(self) -> tuple[Columns, ...]:
        """What tables call the targets: a class, or each value; none of attributes."""
        return {"class": (OF_CLASS,), "value": columns_of([own.name for own in self.values])}.get(self.kind, ())

    @property
    def target_kind(self) -> str:
        """The kind, under the name that cards of weights have for it too."""
        return self.kind


def expected_overlap(budget: int, classes: Iterable[float], *, folds: int) -> float:
    """Of seeds that draw `budget` labels of each class outside of one of `folds` parts; classes: rows of each.

    Of a class that has few rows, seeds share more.
    """
    if not folds:
        return 0.0
    kept = 1 - 1 / folds
    shares = [min(budget / (count * kept), kept) for count in classes]
    return sum(shares) / len(shares)


class Inputs(Protocol):
    """(rows, ...): an array, or what gives its rows block by block."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def __getitem__(self, part: slice, /) -> NDArray[Any]: ...


class Pack:
    """A published pack, opened for reading; what grows with its rows is read when it is asked for."""

    def __init__(self, directory: Path):
        """Opens packs/<dataset>.

        Raises:
            IntegrityError: it was not published whole, or a file is not what its manifest says.
        """
        verify_once(directory)
        self.directory = directory

    @cached_property
    def card(self) -> Card:
        return read_pack_card(self.directory)

    @cached_property
    def examples(self) -> pd.DataFrame:
        """One row an example: id, path, label, value (or several: values.py), split, group.

        split: pool, test or unlabelled. label and value: one of them is null throughout, both are for unlabelled rows;
        for test rows both are null, and so is the path: it may name the class. group: the unit that the row belongs to.
        """
        return pd.read_parquet(self.directory / "examples.parquet")

    @cached_property
    def inputs(self) -> Stored:
        """(rows, ...) of what a network takes in, read from disk row by row, in the order of `examples`."""
        return Stored([self.directory / name for name in _files(self.directory)])

    def rows(self, split: str) -> NDArray[np.intp]:
        """Positions of a split's rows."""
        return np.flatnonzero((self.examples["split"] == split).to_numpy())

    def fold(self, repeat: int, fold: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """(rows outside of a fold, rows in it) of one partition of the pool."""
        pool, part = self.rows(POOL), np.load(self.directory / FOLDS, mmap_mode="r")[repeat]
        return pool[part != fold], pool[part == fold]

    def class_numbers(self, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """Class numbers of labelled rows."""
        number = {label: index for index, label in enumerate(self.card.classes)}
        return np.array([number[label] for label in self.examples["label"].iloc[rows]], dtype=np.int64)

    def values(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """(rows, values) of labelled rows, in the card's units.

        Raises:
            DataError: a row has none.
        """
        given = [own.given for own in self.card.targets]
        values = self.examples[given].iloc[rows].to_numpy(dtype=np.float64, copy=True)
        if not np.isfinite(values).all():
            row = rows[np.flatnonzero(~np.isfinite(values).all(axis=1))[0]]
            raise DataError(
                f"{self.card.name}: row {self.examples['id'].iloc[row]} has no value; give one, or remove it"
            )
        return values

    def attributes(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """(rows, attributes): 1 and 0 for yes and no, numbers, and codes of tags; nan where unknown."""
        known: NDArray[np.float64] = np.load(self.directory / ATTRIBUTES, mmap_mode="r")[rows]
        return known

    @property
    def signatures(self) -> NDArray[np.float64]:
        """(classes, columns): what is known of each class; there is no column where nothing is."""
        if not self.card.signatures:
            return np.zeros((len(self.card.classes), 0))
        known: NDArray[np.float64] = np.load(self.directory / SIGNATURES)
        return known

    def ids(self, rows: NDArray[np.intp]) -> list[str]:
        return list(self.examples["id"].iloc[rows])


def read_pack_card(directory: Path) -> Card:
    """The card of a pack alone, for a look at it: opening the pack itself takes the digest of all its rows.

    Raises:
        IntegrityError: there is none, or it is none.
    """
    path = directory / CARD
    try:
        fields: dict[str, Any] = json.loads(path.read_text())["pack"]
        values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}
        own = {
            "attributes": read_attributes(fields.get("attributes", ())),
            "values": read_values(fields.get("values", ())),
        }
        return Card(**(values | own))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{path} is not the card of a pack: {error}; run the step ingest again") from None


def test_directory(directory: Path) -> Path:
    """Where the test labels of the pack at `directory` lie."""
    return directory.with_name(f"{directory.name}.test")


def read_test_labels(directory: Path) -> pd.DataFrame:
    """The test labels of the pack at `directory`: id, path, label (or values), group. For evaluate alone.

    Of a pack in folds they are the labels of all its labelled rows.

    Raises:
        IntegrityError: they are not as published.
    """
    apart = test_directory(directory)
    verify(apart)
    return pd.read_parquet(apart / "labels.parquet")


def write_pack(
    directory: Path,
    *,
    card: Card,
    examples: pd.DataFrame,
    inputs: Inputs,
    rejected: pd.DataFrame,
    folds: NDArray[np.int8] | None = None,
    attributes: NDArray[np.float64] | None = None,
    signatures: NDArray[np.float64] | None = None,
    shard_gb: float = math.inf,
) -> None:
    """Publishes a pack and, apart from it, its test labels.

    examples: id, path, label or value (or several), split, group, with all labels. inputs: (rows, ...).
    folds: (repeats, pool rows), where cross-validation takes the place of a test set. attributes: (rows, attributes).
    signatures: (classes, columns). shard_gb: what a file of inputs holds at most, in 10^9 bytes.
    """
    values = given_columns(examples) or [OF_ONE.given]
    for name, missing in (("label", None), *((name, np.nan) for name in values)):
        examples = examples if name in examples else examples.assign(**{name: missing})
    is_test = examples["split"] == TEST
    scored = examples[examples["split"] == card.scored]
    targets = [own.given for own in card.targets]
    if len(scored):
        with publishing(test_directory(directory)) as draft:
            scored[["id", "path", *targets, "group"]].to_parquet(draft / "labels.parquet", index=False)
    with publishing(directory) as draft:
        secret = ("path", "label", *values)  # what tells a test row's target
        blind = examples.assign(**{name: examples[name].mask(is_test) for name in secret})
        blind[["id", "path", "label", *values, "split", "group"]].to_parquet(draft / "examples.parquet", index=False)
        shards = _save_inputs(draft, inputs, most=shard_gb * 1e9)
        rejected.to_csv(draft / "rejected.csv", index=False)
        for name, array in ((FOLDS, folds), (ATTRIBUTES, attributes), (SIGNATURES, signatures)):
            if array is not None:
                np.save(draft / name, array)
        write_json(draft / CARD, {"pack": asdict(card), **_declaration(card, inputs, shards)})


def _save_inputs(folder: Path, inputs: Inputs, *, most: float) -> list[tuple[str, int]]:
    """As they are, block by block; (file, rows) of each."""
    blocks = (inputs[start : start + BLOCK] for start in range(0, inputs.shape[0], BLOCK))
    return write_shards(folder, INPUTS, blocks, shape=inputs.shape, dtype=inputs.dtype, most=most)


def pack_digest(directory: Path) -> str:
    """Digest of what cells may depend on: everything in the pack, by its manifest."""
    return digest(read_manifest(directory))


def _declaration(card: Card, inputs: Inputs, shards: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """The card's machine-readable part: arrays and target columns, as any modality declares its own."""
    where: dict[str, Any] = {"file": shards[0][0]}
    if len(shards) > 1:
        where = {"shards": [{"file": file, "rows": count} for file, count in shards]}
    return {
        "modality": card.modality,
        "arrays": [{"name": INPUTS, **where, "dtype": str(np.dtype(inputs.dtype)), "shape": list(inputs.shape)}],
        "targets": _targets(card),
    }


def _files(directory: Path) -> list[str]:
    """Files of the inputs, in the order of their rows."""
    declared = json.loads((directory / CARD).read_text())["arrays"][0]
    return [shard["file"] for shard in declared["shards"]] if "shards" in declared else [declared["file"]]


def _targets(card: Card) -> list[dict[str, Any]]:
    """name, kind and unit of each column of targets; of attributes their kinds, such as "attribute: yes/no"."""
    if card.kind == "attribute":
        return [{"name": own.name, "kind": f"attribute: {own.kind}", "unit": None} for own in card.attributes]
    if len(card.values) > 1:
        return [{"name": own.name, "kind": "value", "unit": own.unit or None} for own in card.values]
    unit = card.values[0].unit if card.values else ""
    return [{"name": card.targets[0].given, "kind": card.kind, "unit": unit or None}]
