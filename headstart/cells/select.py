"""Selection: the strategy that the verdict is about is named on validation scores, before a test label is opened."""

from typing import Any

import pandas as pd

from headstart.cells.grid import CONTROL
from headstart.errors import SettingsError
from headstart.objectives.kinds import CLASS, Kind
from headstart.strategies.table import STRATEGIES


def choose(cells: pd.DataFrame, strategies: tuple[str, ...], kind: Kind = CLASS) -> dict[str, Any]:
    """Names the transfer strategy with the best mean validation score over the seeds at the headline budget.

    cells: rows of all strategies' cells. Ties go to the lower validation loss, then to the one listed first.

    Raises:
        SettingsError: no way to transfer is among the strategies.
    """
    candidates = [name for name in strategies if STRATEGIES.get(name).role == "transfer"]
    if not candidates:
        raise SettingsError(
            "finetune.strategies names no way to transfer, so there is nothing to compare with scratch; add one of "
            + ", ".join(entry.name for entry in STRATEGIES if entry.role == "transfer")
        )
    main = cells[cells["variant"] == ""]
    means = main.groupby("strategy")[["validation_score", "validation_loss"]].mean()
    score = {str(name): float(value) for name, value in means["validation_score"].items()}
    loss = {str(name): float(value) for name, value in means["validation_loss"].items()}

    def rank(name: str) -> tuple[float, float, int]:
        """Rounded, for a mean's last bit depends on how the seeds share what is right."""
        return -round(score[name], 9), round(loss[name], 9), strategies.index(name)

    order = sorted(candidates, key=rank)
    return {
        "strategy": order[0],
        "against": CONTROL,
        f"validation_{kind.metric}": {name: kind.value(score[name]) for name in candidates},
        "validation_loss": {name: loss[name] for name in candidates},
    }
