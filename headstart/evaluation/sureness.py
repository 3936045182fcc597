"""What the verdict says of how sure the chosen strategy's predictions are: calibrated probabilities, or intervals."""

import math

import numpy as np

from headstart.evaluation.calibration import calibration_error, coverage, covered, fewest, uncalibrated
from headstart.evaluation.document import Intervals, Probabilities
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
    found = coverage(covered(truth, final.low, final.high), outcomes.units, confidence=confidence)
    return [
        ("coverage", found.value),
        ("coverage_low", found.low),
        ("coverage_high", found.high),
        ("interval_width", float((final.high - final.low).mean())),
    ]


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
    """Of the chosen strategy's trainings; None of classes, and where nobody says how many rows were held out."""
    if outcomes.measure.exact:
        return None
    finals = _finals(outcomes, chosen, budget)
    held_out = float(outcomes.column("held_out", chosen, budget, outcomes.seeds(chosen, budget)).min())
    level, measure = settings.interval_level, outcomes.measure
    given = [(one.low, one.high) for one in finals if one.low is not None and one.high is not None]
    if len(given) < len(finals):
        return None if math.isnan(held_out) else _none_given(held_out, level)
    held = np.stack([covered(outcomes.truth, low, high) for low, high in given])  # (seeds, rows)
    width = float(np.mean([(high - low).mean() for low, high in given]))
    found = coverage(held.mean(axis=0), outcomes.units, confidence=settings.confidence)
    return Intervals(
        sentence=_said(held, width, level, measure, found.low, found.high, settings.confidence),
        level=level,
        coverage=found.value,
        low=found.low,
        high=found.high,
        lowest=float(held.mean(axis=1).min()),
        highest=float(held.mean(axis=1).max()),
        width=width,
        seeds=len(finals),
    )


def _none_given(held_out: float, level: float) -> Intervals:
    return Intervals(
        sentence=f"no interval is given around predictions: {_too_few(held_out)} {100 * level:.4g}%, which takes"
        f" {fewest(level)} (finetune.label_budget times finetune.validation_fraction)",
        level=level,
    )


def _too_few(held_out: float) -> str:
    return f"{held_out:.0f} held-out {'row is' if held_out == 1 else 'rows are'} too few for"


def _said(
    held: "np.ndarray", width: float, level: float, measure: Measure, low: float, high: float, confidence: float
) -> str:
    seeds, each = len(held), held.mean(axis=1)
    over = f"; by seed {each.min():.1%} to {each.max():.1%}" if seeds > 1 else ""
    return (
        f"intervals of {100 * level:.4g}%, {measure.size(width)} wide, hold {held.mean():.1%} of the test rows"
        f" ({100 * confidence:.4g}% CI {low:.1%}..{high:.1%}{over})"
    )


def _finals(outcomes: Outcomes, chosen: str, budget: int) -> list[Snapshot]:
    return [outcomes.snapshots((chosen, budget, seed))[FINAL] for seed in outcomes.seeds(chosen, budget)]
