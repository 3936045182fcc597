"""The label budgets that a target in folds really has: the one place that lowers what the settings ask for."""

from headstart.objectives.kinds import Kind
from headstart.settings import Settings

APART = 1.25  # factor by which a point of the curve differs from a lowered headline, to be worth its trainings


def effective(settings: Settings, *, largest: int) -> Settings:
    """The settings with budgets that every class has outside each fold of each seed.

    largest: of the pack's card, 0 where there is a test set; budgets that are too large are refused there, where labels
    are drawn. The headline becomes the largest there is; of the curve goes what is larger, and what a lowered
    headline is too near to.
    """
    grid = settings.finetune
    if not largest:
        return settings
    headline = min(grid.label_budget, largest)
    curve = tuple(budget for budget in grid.curve_budgets if budget <= largest and budget != headline)
    if headline < grid.label_budget:
        curve = tuple(budget for budget in curve if budget * APART <= headline)
    changes = {"label_budget": headline, "curve_budgets": curve}
    return settings.model_copy(update={"finetune": grid.model_copy(update=changes)})


def lowered(asked: Settings, kind: Kind, *, largest: int) -> list[str]:
    """What `effective` changed, a sentence each."""
    before, after = asked.finetune, effective(asked, largest=largest).finetune
    lines = []
    if after.label_budget != before.label_budget:
        lines.append(
            f"label budget {after.label_budget} instead of {before.label_budget}: "
            f"{'every class has' if kind.each else 'there are'} {largest} rows outside each fold"
        )
    gone = [str(budget) for budget in before.curve_budgets if budget not in after.curve_budgets]
    if gone:
        lines.append(f"left out of the curve: {', '.join(gone)} (finetune.curve_budgets)")
    return lines
