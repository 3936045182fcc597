"""What a pack's card will say, as far as the dataset's files tell it before any of them is opened. Torch-free."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from headstart.datasets.arrange import refuse_attributes
from headstart.datasets.pack import POOL, Card
from headstart.datasets.read import list_labelled
from headstart.datasets.settings import DataSettings
from headstart.datasets.signatures import read_signatures
from headstart.datasets.values import with_units
from headstart.modalities.table import fields_of


def foresee(path: Path, settings: DataSettings, *, units: Sequence[str] = (), anywhere: bool = False) -> Card:
    """The card of a source to be: its kind, classes, values and attributes; nothing of it is counted or measured.

    anywhere: as `list_dataset` takes it.

    Raises:
        DataError: see `list_labelled`.
        SettingsError: see `with_units`.
    """
    listing = list_labelled(path, settings, anywhere=anywhere)
    return Card(
        name=path.name,
        classes=tuple(sorted({label for label in listing.labels if label is not None})),
        counts={},
        splits={POOL: len(listing)},
        rejected={},
        duplicates=0,
        removed_overlap=0,
        mean=(),
        std=(),
        **fields_of(settings),
        kind=listing.kind,
        values=with_units(listing.names, units),
        attributes=listing.attributes,
    )


def foresee_target(path: Path, settings: DataSettings, *, units: Sequence[str] = (), anywhere: bool = False) -> Card:
    """The card of a target to be, with what is known of its classes.

    Raises:
        DataError: see `foresee`, `refuse_attributes` and `read_signatures`.
    """
    card = foresee(path, settings, units=units, anywhere=anywhere)
    refuse_attributes(path, [own.name for own in card.attributes])
    known = read_signatures(path, card.classes)
    return replace(card, signatures=known.columns if known else ())
