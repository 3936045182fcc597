"""quality.json as frozen models, and in words: what of the data someone should look at. Nothing is changed."""

from headstart.evaluation.record import Number, Record

UNEVEN = 10.0  # times as many rows, from which accuracy says little of the smaller class
SUSPECTS = 24  # that are listed


class Suspect(Record):
    """A row whose label may be wrong: what it was given, what the other rows would have it be.

    margin: of classes, the probability of the given one less that of the likeliest other, by a model without the row,
    from -1 to 1. Of values, minus how many robust standard deviations of all residuals it lies away.
    """

    id: str
    given: str
    likely: str
    margin: Number


class Balance(Record):
    """Rows of the smallest and the largest class, and how many even classes are as uncertain (the entropy's power)."""

    smallest: tuple[str, int]
    largest: tuple[str, int]
    effective: Number

    @property
    def ratio(self) -> float:
        return self.largest[1] / self.smallest[1]


class Shift(Record):
    """How well a source's rows are told from the target's under its W: AUC on rows left out, 0.5 where they are alike.

    traits: what the modality tells of rows (brightness and contrast of images), of the source and of the target.
    """

    source: str
    auc: Number
    low: Number
    high: Number
    traits: dict[str, tuple[Number, Number]]


class Quality(Record):
    """What was found of the target's rows outside of its test set, and of the sources against them.

    labelled: rows whose labels were held against the others'. wrong: how many of these are estimated to be wrong
    (confident learning), None where it cannot be told. suspects: the likeliest first. rejected, duplicates,
    near_duplicates: as ingest counted them.
    """

    kind: str
    labelled: int
    wrong: int | None
    suspects: tuple[Suspect, ...]
    balance: Balance | None
    shifts: tuple[Shift, ...]
    rejected: int
    duplicates: int
    near_duplicates: int


def lines(found: Quality) -> list[str]:
    """What a person is told, the most pressing first; nothing where there is nothing to look at."""
    said = []
    if found.wrong:
        share = found.wrong / found.labelled
        said.append(f"{found.wrong:,} of {found.labelled:,} labels ({share:.1%}) may be wrong")
    if found.balance and found.balance.ratio >= UNEVEN:
        (small, few), (large, many) = found.balance.smallest, found.balance.largest
        said.append(f"classes are uneven: {many:,} rows of {large}, {few:,} of {small}; read the scores of each class")
    if found.near_duplicates:
        said.append(f"{found.near_duplicates:,} rows nearly repeat another one, and are kept on its side of each split")
    return said


def apart(found: Quality) -> str:
    """How far the sources lie, such as "source and target told apart under W by AUC: mnist5k 1.00"; "" without any."""
    each = ", ".join(f"{shift.source} {shift.auc:.2f}" for shift in found.shifts)
    return f"source and target told apart under W by AUC: {each}" if each else ""
