"""What every reader of a dataset returns: its rows before any file is opened."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from headstart.datasets.pack import TEST, UNLABELLED, Attribute

Kind = Literal["class", "value", "attribute"]

TRAIN, VAL = "train", "val"
SPLITS = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VAL,
    "valid": VAL,
    "validation": VAL,
    "test": TEST,
    "testing": TEST,
}  # the names that people give to a split, in small letters


@dataclass(frozen=True)
class Listing:
    """The rows of a dataset; all tuples are of one length but `rejected`.

    paths: of the files, relative to the dataset's folder, or names of rows whose content is in a table. labels: class
    names, values: finite numbers, in the order of `names`; one of the two is None throughout (where there are
    attributes, both), and both are for an unlabelled row. splits: train, val, test, unlabelled, or None where the
    dataset says nothing. groups: of rows that belong together, None for a row on its own. rejected: (place, reason) of
    rows that cannot be used; the reason begins with a code and a colon. contents: rows themselves, as a table has them;
    None for one that is a file, and nothing where all are files. attributes, codes: what rows have in place of a class
    or a value; a number an attribute, nan where unknown.
    """

    paths: tuple[str, ...]
    labels: tuple[str | None, ...]
    values: tuple[tuple[float, ...] | None, ...]
    splits: tuple[str | None, ...]
    groups: tuple[str | None, ...]
    kind: Kind = "class"
    rejected: tuple[tuple[str, str], ...] = field(default=())
    attributes: tuple[Attribute, ...] = ()
    codes: tuple[tuple[float, ...], ...] = ()
    contents: tuple[str | None, ...] = ()
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def source(self, folder: Path, row: int) -> Path | str:
        """What a row is decoded from: its file, or (str) the row itself."""
        content = self.contents[row] if self.contents else None
        return Path(folder, self.paths[row]) if content is None else content

    def joined(self, other: "Listing") -> "Listing":
        """The rows of both; the kind stays this one's, and the other's have no attribute."""
        unknown = (math.nan,) * len(self.attributes)
        return replace(
            self,
            paths=self.paths + other.paths,
            labels=self.labels + other.labels,
            values=self.values + other.values,
            splits=self.splits + other.splits,
            groups=self.groups + other.groups,
            rejected=self.rejected + other.rejected,
            contents=self._all_contents() + other._all_contents() if self.contents or other.contents else (),
            codes=self.codes + (unknown,) * len(other) if self.attributes else (),
        )

    def _all_contents(self) -> tuple[str | None, ...]:
        return self.contents or (None,) * len(self)


def of_classes(paths: Sequence[str], labels: Sequence[str | None], *, split: str | None = None) -> Listing:
    """A listing of classes without groups, all of one split."""
    nothing = (None,) * len(paths)
    return Listing(tuple(paths), tuple(labels), nothing, (split,) * len(paths), nothing)


def of_unlabelled(paths: Sequence[str]) -> Listing:
    """A listing of rows without a label."""
    return of_classes(paths, [None] * len(paths), split=UNLABELLED)
