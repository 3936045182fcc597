"""Names of several values that could not stand in a table of predictions: refused before a row is read."""

from collections import Counter
from collections.abc import Sequence

from headstart.datasets.values import columns_of
from headstart.errors import DataError
from headstart.storage.spreadsheet import FORMULA

RESERVED = {
    "id", "path", "label", "split", "group", "strategy", "variant", "label_budget", "seed", "progress", "truth",
    "prediction", "probabilities", "low", "high", "temperature", "distance", "out_of_domain", "size", "mtime_ns",
    "model", "predicted_at", "name", "error",
}  # fmt: skip


def check_names(names: Sequence[str], where: str) -> None:
    """Refuses columns of several values that could not stand in a table of predictions.

    Raises:
        DataError: the column, and what it clashes with.
    """
    if len(names) < 2:
        return
    for name in names:
        if name.startswith(FORMULA):
            raise DataError(f"{where}: a value cannot be called {name!r}, which spreadsheets run; rename the column")
    said = [column for own in columns_of(names) for column in (own.truth, own.prediction, own.low, own.high)]
    twice = [column for column, times in Counter(said).items() if times > 1 or column in RESERVED]
    if twice:
        raise DataError(
            f"{where}: the values {', '.join(names)} would give a table of predictions the column {twice[0]!r}, which "
            f"it has already; rename the column (taken are {', '.join(sorted(RESERVED))}, and <name>_truth, "
            "<name>_low, <name>_high of another value)"
        )
