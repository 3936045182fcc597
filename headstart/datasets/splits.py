"""Splits and label draws: pure functions of (seed, ids), so that no order of files changes them."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from headstart.errors import DataError


def split_test(labels: Sequence[str], groups: Sequence[str], *, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Chooses the test rows: (rows,) bool, whole groups at a time, about `fraction` of each class.

    Rows that share a group (exact duplicates do) never lie on both sides.
    """
    test = np.zeros(len(labels), dtype=bool)
    members = _members(groups)
    wanted = {label: fraction * count for label, count in Counter(labels).items()}
    for group in _shuffled(members, seed=seed, salt="test"):
        rows = members[group]
        own = Counter(labels[row] for row in rows)  # a voice says words of all classes
        nearer = sum(abs(wanted[label]) - abs(wanted[label] - count) for label, count in own.items())
        if nearer >= 0:  # taking it comes nearer to the fraction of each class than leaving it
            test[rows] = True
            for label, count in own.items():
                wanted[label] -= count
    return test


def split_folds(
    labels: Sequence[str], groups: Sequence[str], *, folds: int, seed: int, repeats: Iterable[int]
) -> NDArray[np.int8]:
    """The fold of each row in each partition, (repeats, rows): whole groups, classes as even as they let them.

    repeats: which of the partitions. While there are as many groups as folds, no fold is empty.
    """
    members = _members(groups)
    held = {group: sorted(Counter(labels[row] for row in rows).items()) for group, rows in members.items()}
    found = []
    for repeat in repeats:
        ties = [int(name) for name in _shuffled([str(fold) for fold in range(folds)], seed=seed, salt=f"ties {repeat}")]
        order = _shuffled(members, seed=seed, salt=f"folds {repeat}")
        fold_of = _spread(held, order, labels=set(labels), ties=ties)
        found.append([fold_of[group] for group in groups])
    return np.array(found, dtype=np.int8).reshape(-1, len(labels))


def _spread(
    held: Mapping[str, list[tuple[str, int]]], order: Sequence[str], *, labels: Collection[str], ties: Sequence[int]
) -> dict[str, int]:
    """The fold of each group, in turn the one that has least of its classes; then of all rows; then by `ties`.

    held: (label, rows) of each group.
    """
    counts = {label: [0] * len(ties) for label in labels}
    totals = [0] * len(ties)
    fold_of = {}
    for group in order:
        own = held[group]
        if len(own) == 1:  # nearly always: in proportion to the class's count
            fullness = counts[own[0][0]]
        else:
            fullness = [sum(counts[label][fold] * number for label, number in own) for fold in range(len(ties))]
        least = min(fullness)
        fold = min((fold for fold in ties if fullness[fold] == least), key=totals.__getitem__)
        for label, number in own:
            counts[label][fold] += number
            totals[fold] += number
        fold_of[group] = fold
    return fold_of


def draw_labels(
    ids: Sequence[str],
    labels: Sequence[str],
    *,
    budget: int,
    stride: int,
    seed: int,
    draw: int,
    groups: Sequence[str] | None = None,
    without: Collection[str] = (),
) -> NDArray[np.intp]:
    """The rows that cell seed `draw` may see: `budget` of each class, in a fixed order.

    Each draw owns whole groups of a class, at least two of them and `stride` rows together, in a shuffled order; rows
    come from its groups in turn, so that a budget is of as many groups as it can be. Budgets are nested, and draws
    share no group until a class is used up. Then a new order begins, so that further draws never change earlier ones.
    Of values, all labels are "" and the budget is the whole. groups: None where each row stands for itself. without:
    classes that none is drawn of; what is drawn of the others is the same.

    Raises:
        DataError: a class, or the whole, has fewer labelled rows than the budget.
    """
    chosen: list[int] = []
    for label in sorted(set(labels) - set(without)):
        rows = [row for row, other in enumerate(labels) if other == label]
        if budget > len(rows):
            each, who = (" a class", f"class {label!r}") if label else ("", "the target")
            raise DataError(
                f"a label budget of {budget}{each} needs {budget} labelled rows, but {who} has {len(rows)} "
                f"outside the test rows; set finetune.label_budget and finetune.curve_budgets to {len(rows)} or less"
            )
        members = _members([str(row) if groups is None else groups[row] for row in rows])
        named = {min(ids[rows[place]] for place in places): [rows[p] for p in places] for places in members.values()}
        largest = max(len(places) for places in named.values())
        slots = max(1, len(rows) // max(stride - 1 + largest, 2 * largest))
        order = _shuffled(named, seed=seed, salt=f"labels {draw // slots}")
        owned = _slot([named[name] for name in order], number=draw % slots, stride=stride)
        chosen += _in_turn(owned, ids)[:budget]
    return np.array(chosen, dtype=np.intp)


def hold_out(
    rows: NDArray[np.intp], labels: Sequence[str], *, fraction: float, groups: Sequence[str] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Splits drawn rows into (train, validation): of each class about the last `fraction`, at least one and not all.

    Whole groups are held out, except of a class whose rows cannot be parted by group. groups: None where each row
    stands for itself.
    """
    drawn = [int(row) for row in rows]
    unit = {row: str(row) if groups is None else groups[row] for row in drawn}
    left = Counter(labels[row] for row in drawn)  # rows to train on, by class
    held: set[int] = set()
    for label in sorted(left):
        own = [row for row in drawn if labels[row] == label]
        count = min(max(1, round(fraction * len(own))), len(own) - 1)
        done = sum(row in held for row in own)
        for group in dict.fromkeys(unit[row] for row in reversed(own)):
            part = [row for row in drawn if unit[row] == group and row not in held] if done < count else []
            taken = Counter(labels[row] for row in part)
            fits = done == 0 or count - done >= taken[label] / 2
            if part and fits and all(left[name] > number for name, number in taken.items()):
                held.update(part)
                left.subtract(taken)
                done += taken[label]
        if done == 0:  # one group has all rows of the class, or its groups have all of another
            held.update(own[len(own) - count :])
            left[label] -= count
    ordered = [row for label in sorted(left) for row in drawn if labels[row] == label]
    train = [row for row in ordered if row not in held]
    return np.array(train, dtype=np.intp), np.array([row for row in ordered if row in held], dtype=np.intp)


def _slot(groups: Sequence[list[int]], *, number: int, stride: int) -> list[list[int]]:
    """The groups of slot `number`: slots are filled one after the other, each with two groups and `stride` rows."""
    slots: list[list[list[int]]] = [[]]
    for rows in groups:
        if sum(map(len, slots[-1])) >= stride and len(slots[-1]) > 1:
            slots.append([])
        slots[-1].append(rows)
    return slots[number]


def _in_turn(groups: Sequence[list[int]], ids: Sequence[str]) -> list[int]:
    """Each group's first row, then each one's second, and so on."""
    ordered = [sorted(rows, key=lambda row: ids[row]) for rows in groups]
    return [row for turn in zip_longest(*ordered) for row in turn if row is not None]


def _members(groups: Sequence[str]) -> dict[str, list[int]]:
    members: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    return members


def _shuffled(names: "Sequence[str] | dict[str, list[int]]", *, seed: int, salt: str) -> list[str]:
    """An order that depends on the names and the seed alone, not on how they came in."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed} {salt} {name}".encode()).digest())
