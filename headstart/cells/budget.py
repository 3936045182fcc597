"""The budget of minutes: a grid that would take too long is made smaller, in one stated order, down to what is fair.

First remedies go, the last first: they are counted as if all were needed. Then finetune.curve_budgets, the largest
first; then fine-tuned strategies, the costliest first, all but one; then seeds, down to three. The control's steps are
never cut: an undertrained control, or two seeds, would decide the verdict by themselves (docs/statistics.md).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headstart.errors import UserError
from headstart.settings import Settings
from headstart.strategies.settings import TuneRecipe
from headstart.strategies.table import STRATEGIES

FEWEST_SEEDS = 3

Estimate = Callable[[Settings], float]


@dataclass(frozen=True)
class Fitted:
    """Settings that fit, the seconds that they are estimated to take, and what was dropped, in order."""

    settings: Settings
    seconds: float
    dropped: tuple[str, ...]


def fit(settings: Settings, *, seconds: float, estimate: Estimate) -> Fitted:
    """The first grid in the stated order that is estimated to take no longer than `seconds`.

    Raises:
        UserError: even the smallest takes longer; its estimate is named.
    """
    settings, dropped = _with_fewer_remedies(settings, seconds, estimate)
    takes = estimate(settings)
    while takes > seconds:
        smaller = _smaller(settings, estimate)
        if smaller is None:
            needed = (
                f"{takes / 60:.1f} minutes" if takes >= 60 else duration(takes)
            )  # 12 are too few where 12.3 are due
            raise UserError(
                f"{seconds / 60:g} minutes are too few: the smallest grid takes about {needed} "
                f"(dropped: {'; '.join(dropped) or 'nothing, it is the smallest'}). Scratch's steps and "
                f"{FEWEST_SEEDS} seeds are kept, for a fair comparison; allow more minutes, or choose a smaller "
                "backbone, data.image_size or pretrain.epochs"
            )
        settings, what = smaller
        dropped.append(what)
        takes = estimate(settings)
    return Fitted(settings, takes, tuple(dropped))


def duration(seconds: float) -> str:
    """Such as "0.31 s", "54 s" or "12 min"."""
    if seconds >= 120:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


def _with_fewer_remedies(settings: Settings, seconds: float, estimate: Estimate) -> tuple[Settings, list[str]]:
    """As many rounds of remedies as fit, and what is said of the others."""
    asked, proposed = settings.remedy.max_rounds, settings
    for rounds in range(asked, -1, -1):
        fewer = settings.remedy.model_copy(update={"max_rounds": rounds})
        proposed = settings.model_copy(update={"remedy": fewer})
        if estimate(proposed) <= seconds:
            break
    left = proposed.remedy.max_rounds
    return proposed, [f"remedies beyond round {left}" if left else "remedies"] if left < asked else []


def _smaller(settings: Settings, estimate: Estimate) -> tuple[Settings, str] | None:
    """The next smaller grid and what it lacks; None where there is none."""
    grid = settings.finetune
    if grid.curve_budgets:
        largest = max(grid.curve_budgets)
        kept = tuple(budget for budget in grid.curve_budgets if budget != largest)
        return _with(settings, curve_budgets=kept), f"the curve's budget of {largest}"
    if costliest := _costliest(settings, estimate):
        return _without(settings, costliest), f"strategy {costliest}"
    if grid.seeds > FEWEST_SEEDS:
        return _with(settings, seeds=grid.seeds - 1), f"seed {grid.seeds - 1}"
    return None


def _costliest(settings: Settings, estimate: Estimate) -> str | None:
    """The fine-tuned strategy without which the grid is quickest, of equal ones the last; one is always kept."""
    tuned = [
        name
        for name in settings.finetune.strategies
        if STRATEGIES.get(name).role == "transfer" and isinstance(settings.recipe(name), TuneRecipe)
    ]
    if len(tuned) < 2:
        return None
    return min(reversed(tuned), key=lambda name: estimate(_without(settings, name)))


def _without(settings: Settings, strategy: str) -> Settings:
    return _with(settings, strategies=tuple(name for name in settings.finetune.strategies if name != strategy))


def _with(settings: Settings, **values: Any) -> Settings:
    return settings.model_copy(update={"finetune": settings.finetune.model_copy(update=values)})
