"""Splits and label draws: pure functions of (seed, ids), so that no order of files changes them."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.errors import DataError


def split_test(labels: Sequence[str], groups: Sequence[str], *, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Chooses the test rows: (rows,) bool, whole groups at a time, about `fraction` of each class.

    Rows that share a group (exact duplicates do) never lie on both sides.
    """
    test = np.zeros(len(labels), dtype=bool)
    members = _members(groups)
    wanted = {label: fraction * list(labels).count(label) for label in set(labels)}
    for group in _shuffled(members, seed=seed, salt="test"):
        rows = members[group]
        label = min(labels[row] for row in rows)  # one image may lie under two classes
        if wanted[label] >= len(rows) / 2:  # taking it comes nearer to the fraction than leaving it
            test[rows] = True
            wanted[label] -= len(rows)
    return test


def draw_labels(
    ids: Sequence[str], labels: Sequence[str], *, budget: int, stride: int, seed: int, draw: int
) -> NDArray[np.intp]:
    """The rows that cell seed `draw` may see: `budget` of each class, in a fixed order.

    Each draw owns `stride` rows of a class in a shuffled order of it; budgets are nested inside, and draws are
    disjoint until a class is used up. Then a new order begins, so that further draws never change earlier ones.
    Of values, all labels are "" and the budget is the whole.

    Raises:
        DataError: a class, or the whole, has fewer labelled rows than the budget.
    """
    chosen: list[int] = []
    for label in sorted(set(labels)):
        rows = [row for row, other in enumerate(labels) if other == label]
        if budget > len(rows):
            each, who = (" a class", f"class {label!r}") if label else ("", "the target")
            raise DataError(
                f"a label budget of {budget}{each} needs {budget} labelled rows, but {who} has {len(rows)} "
                f"outside the test rows; set finetune.label_budget and finetune.curve_budgets to {len(rows)} or less"
            )
        slots = max(1, len(rows) // stride)
        order = _shuffled([ids[row] for row in rows], seed=seed, salt=f"labels {draw // slots}")
        position = {ids[row]: row for row in rows}
        start = min((draw % slots) * stride, len(rows) - budget)
        chosen += [position[name] for name in order[start : start + budget]]
    return np.array(chosen, dtype=np.intp)


def hold_out(
    rows: NDArray[np.intp], labels: Sequence[str], *, fraction: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Splits drawn rows into (train, validation): of each class the last `fraction`, at least one and not all."""
    train: list[int] = []
    validation: list[int] = []
    for label in sorted({labels[row] for row in rows}):
        own = [int(row) for row in rows if labels[row] == label]
        count = min(max(1, round(fraction * len(own))), len(own) - 1)
        train += own[: len(own) - count]
        validation += own[len(own) - count :]
    return np.array(train, dtype=np.intp), np.array(validation, dtype=np.intp)


def _members(groups: Sequence[str]) -> dict[str, list[int]]:
    members: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    return members


def _shuffled(names: "Sequence[str] | dict[str, list[int]]", *, seed: int, salt: str) -> list[str]:
    """An order that depends on the names and the seed alone, not on how they came in."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed} {salt} {name}".encode()).digest())
