"""How much there is of a dataset, before it is read and after: what a plan counts with."""

from dataclasses import dataclass

import pandas as pd

from headstart.datasets.folds import make_folds, too_few
from headstart.datasets.listing import Listing
from headstart.datasets.pack import POOL, TEST, UNLABELLED, Card, expected_overlap
from headstart.datasets.settings import DataSettings
from headstart.datasets.table import BuiltIn
from headstart.datasets.units import join_units, value_table


@dataclass(frozen=True)
class Size:
    """How much there is of a dataset, as far as it is known.

    test_rows: that are scored, all of them in cross-validation; units: independent ones among those. folds: 0 where
    there is a test set; largest_label_budget: rows that every class has outside each fold, 0 where there is one.
    classes: rows of each class that labels may be drawn of, or of all values as one; empty where not known yet.
    """

    rows: int
    test_rows: int
    units: int
    folds: int = 0
    largest_label_budget: int = 0
    classes: tuple[int, ...] = ()

    @property
    def unit(self) -> str:
        return "rows" if self.units == self.test_rows else "groups"

    @property
    def most_labels(self) -> int:
        """Labels that every class (or the values) can give beside a test set, 0 where that is not known."""
        return 0 if self.folds or not self.classes else min(self.classes)

    def overlap(self, budget: int) -> float:
        """Share of labels that two seeds will have in common, as far as it is known."""
        return expected_overlap(budget, self.classes or [self.rows], folds=self.folds)


def size_of_built_in(entry: BuiltIn, *, settings: DataSettings) -> Size:
    """As the table has it. Where it will be cross-validated, the budget that each fold allows is not known yet (0)."""
    if entry.test_rows or not entry.rows:
        return Size(entry.rows, entry.test_rows, entry.test_rows)
    units = entry.groups or entry.rows
    if too_few(units, settings):
        return Size(entry.rows, entry.rows, units, settings.folds)
    share = settings.test_fraction
    return Size(entry.rows, round(entry.rows * share), round(units * share))


def size_of_pack(card: Card) -> Size:
    """As ingest found it."""
    rows = sum(count for split, count in card.splits.items() if split != UNLABELLED)
    test = card.splits.get(card.scored, 0)
    classes = tuple(card.counts.values()) or (card.splits.get(POOL, 0),)
    return Size(rows, test, card.test_units or test, card.folds, card.largest_label_budget, classes)


def size_of_files(listing: Listing, *, settings: DataSettings, seed: int) -> Size:
    """As ingest will have it, but for files that cannot be read and for exact duplicates, which nobody knows yet."""
    table = pd.DataFrame(
        {
            "label": listing.labels,
            **value_table(listing.values, listing.names),
            "group": join_units(listing.paths, listing.groups),
            "split": listing.splits,
        }
    )
    table = table[table["split"] != UNLABELLED]
    test = table[table["split"] == TEST]
    units = table["group"].nunique()
    if len(test):
        return Size(len(table), len(test), test["group"].nunique())
    if too_few(units, settings) and listing.kind != "attribute":  # a source, which is not split
        folds = make_folds(table, kind=listing.kind, settings=settings, seed=seed)
        classes = tuple(table["label"].value_counts()) or (len(table),)
        return Size(len(table), len(table), units, folds.count, folds.largest_label_budget, classes)
    share = settings.test_fraction
    return Size(len(table), round(len(table) * share), round(units * share))
