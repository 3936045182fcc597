"""What the verdict says of each of several values, in its own unit: errors, the gain over scratch, intervals."""

from collections.abc import Sequence

import numpy as np

from headstart.entrants import CONTROL
from headstart.evaluation.contrasts import Contrast, contrast
from headstart.evaluation.document import EachValue, Exploratory, Intervals
from headstart.evaluation.intervals import Floats
from headstart.evaluation.measures import Error
from headstart.evaluation.outcomes import FINAL, Outcomes
from headstart.evaluation.settings import EvaluationSettings
from headstart.evaluation.sureness import intervals_given, intervals_of


def each_value(outcomes: Outcomes, chosen: str, budget: int, settings: EvaluationSettings) -> tuple[EachValue, ...]:
    """One for each of several values, over the seeds that the chosen strategy and scratch share; else none."""
    parts = outcomes.measure.parts
    given = intervals_given(outcomes, chosen, budget) if parts else None
    found = []
    for place, (name, part) in enumerate(parts):
        own = None
        if given is not None:
            held, widths = given
            own = intervals_of(outcomes, held[:, :, place], widths[:, place], part, settings)
        found.append(_one(outcomes, chosen, budget, settings, name=name, place=place, intervals=own))
    return tuple(found)


def _one(
    outcomes: Outcomes,
    chosen: str,
    budget: int,
    settings: EvaluationSettings,
    *,
    name: str,
    place: int,
    intervals: Intervals | None,
) -> EachValue:
    _, part = outcomes.measure.parts[place]
    seeds = outcomes.seeds(chosen, budget)
    truth = outcomes.truth[:, place]
    ours, theirs = (_predicted(outcomes, entrant, budget, seeds, place) for entrant in (chosen, CONTROL))
    measured = contrast(
        np.stack([part.row_scores(truth, own) for own in ours]),
        np.stack([part.row_scores(truth, own) for own in theirs]),
        units=outcomes.units,
        overlap=outcomes.overlap(budget, seeds),
        confidence=settings.confidence,
        measure=part,
    )
    mae, rmse, r2 = (
        float(np.mean([dict(part.metrics(truth, own, None))[metric] for own in ours]))
        for metric in ("mae", "rmse", "r2")
    )
    scratch = float(np.abs(theirs - truth).mean())
    return EachValue(
        sentence=_sentence(name, part, measured, (mae, rmse, r2, scratch), chosen, intervals, settings.confidence),
        name=name,
        unit=part.unit,
        mae=mae,
        rmse=rmse,
        r2=r2 if np.isfinite(r2) else None,
        scratch_mae=scratch,
        against_scratch=Exploratory.of(measured, chosen, CONTROL, budget),
        intervals=intervals,
    )


def _predicted(outcomes: Outcomes, entrant: str, budget: int, seeds: Sequence[int], place: int) -> Floats:
    """(seeds, rows) of one value."""
    finals = [outcomes.snapshots((entrant, budget, seed))[FINAL] for seed in seeds]
    return np.stack([final.prediction[:, place] for final in finals])


def _sentence(
    name: str,
    part: Error,
    measured: Contrast,
    figures: tuple[float, float, float, float],
    chosen: str,
    intervals: Intervals | None,
    confidence: float,
) -> str:
    """Such as "x, exploratory: full's MAE is 0.4 pixels, scratch's 0.6 (gain +0.2, 95% CI +0.1..+0.3); RMSE ..."."""
    mae, rmse, r2, scratch = figures
    interval = measured.interval
    bounds = f"{100 * confidence:.4g}% CI {part.signed(interval.low)}..{part.signed(interval.high)}"
    said = f"{name}, exploratory: {chosen}'s MAE is {part.size(mae)}, {CONTROL}'s {part.size(scratch)}"
    said += f" (gain {part.signed(interval.estimate)}, {bounds}); RMSE {part.size(rmse)}"
    said += f", R2 {r2:.2f}" if np.isfinite(r2) else ""
    return f"{said}; {intervals.sentence}" if intervals else said
