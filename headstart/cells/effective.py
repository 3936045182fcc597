"""The label budgets that a target in folds really has: the one place that lowers what the settings ask for."""

from pathlib import Path

from headstart.datasets.pack import read_pack_card
from headstart.datasets.settings import FEWEST_LABELS
from headstart.errors import SettingsError
from headstart.objectives.kinds import Kind
from headstart.settings import Settings

# Of what every class has outside each fold. With more, seeds draw nearly the same labels and their spread no longer
# shows what other labels would do: at 36 rows the half-width was 30 points with all of them and 26 with two thirds.
SHARE = 2 / 3
APART = 1.2  # factor by which a point of the curve differs from a lowered headline, to be worth its trainings


def effective(settings: Settings, *, largest: int, most: int = 0) -> Settings:
    """The settings with label budgets that a target in folds allows for.

    largest: rows that every class has outside each fold, of the pack's card; 0 where there is a test set. The headline
    is at most two thirds of it; of the curve goes what is larger than all of it, and what a lowered headline is too
    near to. most: labelled rows that every class has outside the test rows, 0 where that is not known yet; of the curve
    goes what is larger.

    Raises:
        SettingsError: with a test set, the headline is larger than that.
    """
    grid = settings.finetune
    if not largest:
        return _within(settings, most) if most else settings
    headline = min(grid.label_budget, max(FEWEST_LABELS, int(SHARE * largest)))
    curve = tuple(budget for budget in grid.curve_budgets if budget <= largest and budget != headline)
    if headline < grid.label_budget:
        curve = tuple(budget for budget in curve if max(budget, headline) >= APART * min(budget, headline))
    changes = {"label_budget": headline, "curve_budgets": curve}
    return settings.model_copy(update={"finetune": grid.model_copy(update=changes)})


def _within(settings: Settings, most: int) -> Settings:
    grid = settings.finetune
    if grid.label_budget > most:
        raise SettingsError(
            f"finetune.label_budget is {grid.label_budget}, but there are only {most} labelled rows outside the test "
            f"rows (of classes: of the smallest); set it to {most} or less"
        )
    curve = tuple(budget for budget in grid.curve_budgets if budget <= most)
    if curve == grid.curve_budgets:
        return settings
    return settings.model_copy(update={"finetune": grid.model_copy(update={"curve_budgets": curve})})


def settings_for(settings: Settings, pack: Path) -> Settings:
    """The settings with the label budgets of the target that lies packed there: what all steps after ingest go by."""
    card = read_pack_card(pack)
    return effective(settings, largest=card.largest_label_budget, most=card.most_labels)


def lowered(asked: Settings, kind: Kind, *, largest: int, most: int = 0) -> list[str]:
    """What `effective` changed, a sentence each."""
    before, after = asked.finetune, effective(asked, largest=largest, most=most).finetune
    lines = []
    if after.label_budget != before.label_budget:
        whose = "every class has" if kind.each else "there are"
        lines.append(
            f"label budget {after.label_budget} instead of {before.label_budget}: two thirds of the {largest} rows "
            f"that {whose} outside each fold, so that seeds differ in their labels"
        )
    gone = [str(budget) for budget in before.curve_budgets if budget not in after.curve_budgets]
    if gone:
        why = "" if largest else f": there are only {most} labelled rows{kind.each} outside the test rows"
        lines.append(f"left out of the curve: {', '.join(gone)} (finetune.curve_budgets){why}")
    return lines
