"""What a pack's card will say, as far as the dataset's files tell it before any of them is opened. Torch-free."""

from dataclasses import replace
from pathlib import Path

from headstart.datasets.arrange import refuse_attributes
from headstart.datasets.pack import POOL, Card
from headstart.datasets.read import list_labelled
from headstart.datasets.settings import DataSettings
from headstart.datasets.signatures import read_signatures
from headstart.modalities.table import fields_of


def foresee(path: Path, settings: DataSettings, *, unit: str = "", anywhere: bool = False) -> Card:
    """The card of a source to be: its kind, classes, unit and attributes; nothing of it is counted or measured.

    anywhere: as `list_dataset` takes it.

    Raises:
        DataError: see `list_labelled`.
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
        unit=unit if listing.kind == "value" else "",
        attributes=listing.attributes,
    )


def foresee_target(path: Path, settings: DataSettings, *, unit: str = "", anywhere: bool = False) -> Card:
    """The card of a target to be, with what is known of its classes.

    Raises:
        DataError: see `foresee`, `refuse_attributes` and `read_signatures`.
    """
    card = foresee(path, settings, unit=unit, anywhere=anywhere)
    refuse_attributes(path, [own.name for own in card.attributes])
    known = read_signatures(path, card.classes)
    return replace(card, signatures=known.columns if known else ())
