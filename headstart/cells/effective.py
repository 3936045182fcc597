"""The label budgets that a target in folds really has: the one place that lowers what the settings ask for."""

from pathlib import Path

from headstart.datasets.pack import read_pack_card
from headstart.datasets.settings import FEWEST_LABELS
from headstart.objectives.kinds import Kind
from headstart.settings import Settings

# Of what every class has outside each fold. With more, seeds draw nearly the same labels and their spread no longer
# shows what other labels would do: at 36 rows the half-width was 30 points with all of them and 26 with two thirds.
SHARE = 2 / 3
APART = 1.2  # factor by which a point of the curve differs from a lowered headline, to be worth its trainings


def effective(settings: Settings, *, largest: int) -> Settings:
    """The settings with label budgets that a target in folds allows for.

    largest: rows that every class has outside each fold, of the pack's card; 0 where there is a test set, and budgets
    that are too large are refused where labels are drawn. The headline is at most two thirds of it; of the curve goes
    what is larger than all of it, and what a lowered headline is too near to.
    """
    grid = settings.finetune
    if not largest:
        return settings
    headline = min(grid.label_budget, max(FEWEST_LABELS, int(SHARE * largest)))
    curve = tuple(budget for budget in grid.curve_budgets if budget <= largest and budget != headline)
    if headline < grid.label_budget:
        curve = tuple(budget for budget in curve if max(budget, headline) >= APART * min(budget, headline))
    changes = {"label_budget": headline, "curve_budgets": curve}
    return settings.model_copy(update={"finetune": grid.model_copy(update=changes)})


def settings_for(settings: Settings, pack: Path) -> Settings:
    """The settings with the label budgets of the target that lies packed there: what all steps after ingest go by."""
    return effective(settings, largest=read_pack_card(pack).largest_label_budget)


def lowered(asked: Settings, kind: Kind, *, largest: int) -> list[str]:
    """What `effective` changed, a sentence each."""
    before, after = asked.finetune, effective(asked, largest=largest).finetune
    lines = []
    if after.label_budget != before.label_budget:
        whose = "every class has" if kind.each else "there are"
        lines.append(
            f"label budget {after.label_budget} instead of {before.label_budget}: two thirds of the {largest} rows "
            f"that {whose} outside each fold, so that seeds differ in their labels"
        )
    gone = [str(budget) for budget in before.curve_budgets if budget not in after.curve_budgets]
    if gone:
        lines.append(f"left out of the curve: {', '.join(gone)} (finetune.curve_budgets)")
    return lines
