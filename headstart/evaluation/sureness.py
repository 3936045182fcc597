"""What the verdict says of how sure the chosen strategy's predictions are: calibrated probabilities, or intervals."""

import math

import numpy as np

from headstart.evaluation.calibration import calibration_error, coverage, covered, fewest, uncalibrated
from headstart.evaluation.document import Intervals, Probabilities
from headstart.evaluation.intervals import Floats
from headstart.evaluation.measures import Measure
from headstart.evaluation.metrics import log_loss
from headstart.evaluation.outcomes import FINAL, Outcomes, Snapshot
from headstart.evaluation.settings import EvaluationSettings
from headstart.objectives.kinds import FEWEST_TO_CALIBRATE


def sureness_metrics(outcomes: Outcomes, final: Snapshot, confidence: float) -> list[tuple[str, float]]:
    """(metric, value) of one training on the test rows; none of what nobody calibrated."""
    truth, table = outcomes.truth, final.probabilities
    if table is not None and final.temperature is not None:
        before = uncalibrated(table, final.temperature)
        return [
            ("calibration_error", calibration_error(truth, table)),
            ("calibration_error_before", calibration_error(truth, before)),
            ("log_loss_before", log_loss(truth, before)),
        ]
    if final.low is None or final.high is None:
        return []
    held, width = covered(truth, final.low, final.high), final.high - final.low
    if not outcomes.measure.parts:
        return _coverages("coverage", held, outcomes, confidence) + [("interval_width", float(width.mean()))]
    metrics = _coverages("joint_coverage", held.min(axis=1), outcomes, confidence)
    for place, (name, _) in enumerate(outcomes.measure.parts):
        own = _coverages("coverage", held[:, place], outcomes, confidence)
        own += [("interval_width", float(width[:, place].mean()))]
        metrics += [(f"{metric}.{name}", value) for metric, value in own]
    return metrics


def _coverages(name: str, held: Floats, outcomes: Outcomes, confidence: float) -> list[tuple[str, float]]:
    found = coverage(held, outcomes.units, confidence=confidence)
    return [(name, found.value), (f"{name}_low", found.low), (f"{name}_high", found.high)]


def probabilities(outcomes: Outcomes, chosen: str, budget: int) -> Probabilities | None:
    """Of the chosen strategy's trainings, means over seeds; None of values, and where no temperature is given."""
    finals = _finals(outcomes, chosen, budget)
    pairs = [(one.probabilities, one.temperature) for one in finals]
    if any(table is None or temperature is None for table, temperature in pairs):
        return None
    truth = outcomes.truth
    after = [table for table, _ in pairs if table is not None]
    before = [uncalibrated(table, own) for table, own in pairs if table is not None and own is not None]
    errors = [float(np.mean([calibration_error(truth, table) for table in each])) for each in (before, after)]
    losses = [float(np.mean([log_loss(truth, table) for table in each])) for each in (before, after)]
    temperatures = [float(own.mean()) for _, own in pairs if own is not None]
    said = f"{errors[1]:.1%} ({errors[0]:.1%} before calibration), log loss {losses[1]:.3g} ({losses[0]:.3g} before)"
    held_out = float(outcomes.column("held_out", chosen, budget, outcomes.seeds(chosen, budget)).min())
    if held_out < FEWEST_TO_CALIBRATE and set(temperatures) == {1.0}:
        said = (
            f"{errors[1]:.1%}, log loss {losses[1]:.3g}, as the scores come: {_too_few(held_out)} a temperature, which"
        )
        said += f" takes {FEWEST_TO_CALIBRATE}"
    seeds = f"; means over {len(finals)} seeds" if len(finals) > 1 else ""
    return Probabilities(
        sentence=f"expected calibration error on test rows {said}{seeds}",
        error=errors[1],
        error_before=errors[0],
        log_loss=losses[1],
        log_loss_before=losses[0],
        temperature=float(np.mean(temperatures)),
        seeds=len(finals),
    )


def intervals(outcomes: Outcomes, chosen: str, budget: int, settings: EvaluationSettings) -> Intervals | None:
    """Of the chosen strategy's trainings; None of classes, and where nobody says how many rows were held out.

    Of several values those of a row that hold at once: each is made for its own value, and promises nothing of all.
    """
    if outcomes.measure.exact:
        return None
    level, given = settings.interval_level, intervals_given(outcomes, chosen, budget)
    if given is None:
        held_out = float(outcomes.column("held_out", chosen, budget, outcomes.seeds(chosen, budget)).min())
        return None if math.isnan(held_out) else _none_given(held_out, level)
    held, widths = given
    if not outcomes.measure.parts:
        return intervals_of(outcomes, held, widths, outcomes.measure, settings)
    found = intervals_of(outcomes, held.min(axis=2), widths.mean(axis=1), outcomes.measure, settings)
    sentence = (
        f"intervals of {100 * level:.4g}% are of each value by itself; all {held.shape[2]} values of a row lie in "
        f"theirs at once in {_held(held.min(axis=2), found, settings.confidence)}"
    )
    return found.model_copy(update={"sentence": sentence, "width": None})


def intervals_given(outcomes: Outcomes, chosen: str, budget: int) -> tuple[Floats, Floats] | None:
    """Of each seed, row (and value): 1 where the interval holds the truth; and the mean width by seed (and value).

    None where a seed has no intervals.
    """
    finals = _finals(outcomes, chosen, budget)
    given = [(one.low, one.high) for one in finals if one.low is not None and one.high is not None]
    if len(given) < len(finals):
        return None
    held = np.stack([covered(outcomes.truth, low, high) for low, high in given])  # (seeds, rows), or with values
    return held, np.stack([(high - low).mean(axis=0) for low, high in given])


def intervals_of(
    outcomes: Outcomes, held: Floats, widths: Floats, measure: Measure, settings: EvaluationSettings
) -> Intervals:
    """Of one value. held: (seeds, rows); widths: (seeds,)."""
    found = coverage(held.mean(axis=0), outcomes.units, confidence=settings.confidence)
    width, level = float(widths.mean()), settings.interval_level
    known = Intervals(
        sentence="",
        level=level,
        coverage=found.value,
        low=found.low,
        high=found.high,
        lowest=float(held.mean(axis=1).min()),
        highest=float(held.mean(axis=1).max()),
        width=width,
        seeds=len(held),
    )
    said = f"intervals of {100 * level:.4g}%, {measure.size(width)} wide, hold "
    return known.model_copy(update={"sentence": said + _held(held, known, settings.confidence)})


def _none_given(held_out: float, level: float) -> Intervals:
    return Intervals(
        sentence=f"no interval is given around predictions: {_too_few(held_out)} {100 * level:.4g}%, which takes"
        f" {fewest(level)} (finetune.label_budget times finetune.validation_fraction)",
        level=level,
    )


def _too_few(held_out: float) -> str:
    return f"{held_out:.0f} held-out {'row is' if held_out == 1 else 'rows are'} too few for"


def _held(held: Floats, found: Intervals, confidence: float) -> str:
    """Such as "91.0% of the test rows (95% CI 88.7%..92.9%; by seed 89.0% to 93.0%)". held: (seeds, rows)."""
    over = f"; by seed {found.lowest:.1%} to {found.highest:.1%}" if len(held) > 1 else ""
    return f"{held.mean():.1%} of the test rows ({100 * confidence:.4g}% CI {found.low:.1%}..{found.high:.1%}{over})"


def _finals(outcomes: Outcomes, chosen: str, budget: int) -> list[Snapshot]:
    return [outcomes.snapshots((chosen, budget, seed))[FINAL] for seed in outcomes.seeds(chosen, budget)]
