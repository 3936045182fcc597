"""Is training from scratch a control that can be trusted? An undertrained one decides the verdict by itself."""

from collections.abc import Mapping

from headstart.evaluation.contrasts import Contrast
from headstart.evaluation.document import ControlCheck
from headstart.evaluation.measures import RATE, Measure

STILL_IMPROVES = 0.10  # one-sided level; lenient, since overlooking an undertrained control is the worse mistake
ROOM = 5  # a curve is called flat only where its error is more than this many margins


def check_control(doubling: Contrast, *, margin: float) -> ControlCheck:
    """Whether the control still improved: doubling its steps gained more than the margin, and not by chance.

    doubling: the control against itself trained with half its steps.
    """
    interval = doubling.interval
    p_value = interval.p_greater()
    return ControlCheck(
        gain=interval.estimate,
        low=interval.low,
        high=interval.high,
        p_value=p_value,
        seeds=doubling.seeds,
        still_improves=interval.estimate > margin and p_value <= STILL_IMPROVES,
    )


def state_of(check: ControlCheck, *, margin: float) -> str:
    """In words: whether it has reached its plateau; there are gains that too few seeds cannot tell from none."""
    if check.still_improves:
        return "still improving"
    return "taken as converged" if check.gain <= margin else "not known whether it still improves; use more seeds"


def overtrained_warning(check: ControlCheck, *, margin: float, measure: Measure = RATE) -> str | None:
    """The other way to have a weak control: one that got worse, by more than the margin and not by chance."""
    if check.gain >= -margin or check.high >= 0:
        return None
    return (
        f"training from scratch gets worse with its steps doubled ({measure.amount(check.gain)}), so transfer is "
        "compared with less than scratch can do: lower strategies.scratch.steps"
    )


def curve_warning(scores: Mapping[int, float], *, margin: float, measure: Measure = RATE) -> str | None:
    """The tell-tale of an undertrained control: more labels that do not help it.

    scores: mean test score of scratch by label budget.
    """
    budgets = sorted(scores)
    advice = "it is probably undertrained: raise strategies.scratch.steps"
    for fewer, more in zip(budgets, budgets[1:], strict=False):
        if scores[more] < scores[fewer] - margin:
            return (
                f"training from scratch falls from {measure.level(scores[fewer])} at {measure.kind.labels(fewer)}"
                f" to {measure.level(scores[more])} at {more}; {advice}"
            )
    first, last = budgets[0], budgets[-1]
    room = measure.best - scores[first] > ROOM * margin
    if len(budgets) > 1 and room and scores[last] - scores[first] <= margin:
        return (
            f"training from scratch stays flat, {measure.level(scores[first])} at {measure.kind.labels(first)}"
            f" and {measure.level(scores[last])} at {last}; {advice}"
        )
    return None
