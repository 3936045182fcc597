"""What both ingest steps say of the pack that they made."""

from collections.abc import Sequence

from headstart.datasets.pack import TEST, UNLABELLED, Card
from headstart.datasets.values import Value
from headstart.datasets.values import in_words as values_in_words
from tasks.step import Outcome


def ingested(card: Card) -> Outcome:
    """The outcome of a step that made this pack."""
    if not sum(card.splits.values()):
        return Outcome(f"{card.name}: weights, and no rows", params={"dataset": card.name}, datasets=(card.name,))
    rejected = sum(card.rejected.values())
    return Outcome(
        in_words(card),
        params={"dataset": card.name, "classes": len(card.classes)},
        metrics={f"rows.{split}": count for split, count in card.splits.items()}
        | {"rejected": rejected, "duplicates": card.duplicates, "removed_overlap": card.removed_overlap},
        datasets=(card.name,),
    )


def in_words(card: Card) -> str:
    """What a pack holds and what was left out of it, in one line."""
    known = sum(count for split, count in card.splits.items() if split != UNLABELLED)
    kinds = {
        "class": f"in {len(card.classes)} classes",
        "value": _of_values(card.values),
        "attribute": f"with {len(card.attributes)} attributes",
    }[card.kind]
    parts = {
        f"{card.name}: {known:,} rows {kinds}{_tested(card)}": True,
        f"{card.validation:,} rows given for validation are in the pool": card.validation,
        f"{card.splits.get(UNLABELLED, 0):,} unlabelled rows beside them": UNLABELLED in card.splits,
        f"{sum(card.rejected.values())} files set aside (packs/{card.name}/rejected.csv)": card.rejected,
        f"{card.near_duplicates} rows nearly repeat another (data.near_duplicates)": card.near_duplicates,
        f"made like the others: {', '.join(f'{n} {what}' for what, n in card.changed.items())}": card.changed,
        f"{card.removed_overlap} rows left out that {_whose(card)}": card.removed_overlap,
    }
    return "; ".join(part for part, holds in parts.items() if holds)


def _of_values(values: Sequence[Value]) -> str:
    """Such as "of values in degrees", "of 2 values: x (pixels), angle (degrees)"."""
    if len(values) > 1:
        return f"of {len(values)} values: {values_in_words(values)}"
    return "of values" + "".join(f" in {own.unit}" for own in values if own.unit)


def _tested(card: Card) -> str:
    if card.folds:
        return f", too few for a test set: each is predicted in {card.folds}-fold cross-validation"
    return f", {card.splits[TEST]:,} of them {'its own ' * card.own_test}test rows" if TEST in card.splits else ""


def _whose(card: Card) -> str:
    return "repeat test rows" if card.folds or TEST in card.splits else "are among the target's test rows"
