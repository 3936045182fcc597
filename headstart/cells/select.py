"""Selection: the strategy that the verdict is about is named on validation scores, before a test label is opened."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from headstart.cells.results import rank_entrants
from headstart.entrants import CONTROL, Entrant
from headstart.objectives.kinds import CLASS, Kind
from headstart.strategies.table import STRATEGIES


def choose(cells: pd.DataFrame, strategies: tuple[str, ...], kind: Kind = CLASS) -> dict[str, Any]:
    """Names the way to transfer with the best mean validation score over the seeds at the headline budget.

    cells: rows of all strategies' cells; where there are several sources, a strategy enters once from each. Ties go to
    the lower validation loss, then to the strategy listed first, then to the source whose cells come first. The
    settings see to it that a way to transfer is among the strategies.
    """
    known = candidates(cells, strategies)
    chosen = Entrant.parse(rank_entrants(known, strategies)[0])
    means = known.groupby("strategy", sort=False)[["validation_score", "validation_loss"]].mean()
    return {
        "entrant": chosen.name,
        "strategy": chosen.strategy,
        "source": chosen.source,
        "against": CONTROL,
        f"validation_{kind.metric}": {str(k): kind.value(float(v)) for k, v in means["validation_score"].items()},
        "validation_loss": {str(name): float(value) for name, value in means["validation_loss"].items()},
    }


def candidates(cells: pd.DataFrame, strategies: Sequence[str]) -> pd.DataFrame:
    """The cells of the ways to transfer: neither the control, at any length, nor the source as it is."""
    ways = [name for name in strategies if STRATEGIES.get(name).role == "transfer"]
    strategy = cells["strategy"].map(lambda name: Entrant.parse(str(name)).strategy)
    return cells[(cells["variant"] == "") & strategy.isin(ways)]
