"""The resolution: what difference this many test units and seeds can settle, known before training."""

from pydantic import BaseModel, ConfigDict

from headstart.evaluation.intervals import Parts, combine
from headstart.evaluation.measures import RATE, Measure
from headstart.evaluation.settings import DISAGREEMENT, SEED_SD, EvaluationSettings


class Resolution(BaseModel):
    """half_width: what the interval's half-width comes to if the assumptions hold (fraction of test rows, or amount).

    disagreement: of values, the variance over rows of the difference of errors; it and seed_sd are by the target's s.d.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    half_width: float
    units: int
    seeds: int
    disagreement: float
    seed_sd: float
    confidence: float


def resolution(
    *,
    units: int,
    seeds: int,
    disagreement: float = DISAGREEMENT,
    seed_sd: float = SEED_SD,
    overlap: float = 0.0,
    confidence: float = 0.95,
    measure: Measure = RATE,
) -> Resolution:
    """The half-width to expect, by the verdict's own formula with assumed parts.

    units: independent test units, at least 2; of groups it is supposed that they flip as a whole (wide side).
    disagreement: share of units on which two entrants differ; the same ones under each seed (wide side).
    seed_sd: s.d. over seeds of the difference; without effect on one seed, which speaks of two models only.

    Raises:
        ValueError: fewer than 2 units or no seed.
    """
    if units < 2 or seeds < 1:
        raise ValueError(f"a resolution needs at least 2 test units and 1 seed, not {units} units and {seeds} seeds")
    parts = Parts(rows=disagreement / units, seeds=seed_sd**2 / seeds if seeds > 1 else 0.0, residual=0.0)
    interval = combine(0.0, parts, seeds=seeds, units=units, overlap=overlap, confidence=confidence)
    return Resolution(
        half_width=min(interval.scaled(measure.scale).high, measure.largest),
        units=units,
        seeds=seeds,
        disagreement=disagreement,
        seed_sd=seed_sd,
        confidence=confidence,
    )


def planned_resolution(
    settings: EvaluationSettings, *, units: int, seeds: int, overlap: float = 0.0, measure: Measure = RATE
) -> Resolution:
    """The resolution under the settings' assumptions: printed with the plan, and kept beside the verdict."""
    return resolution(
        units=units,
        seeds=seeds,
        disagreement=measure.row_variance(settings),
        seed_sd=settings.expected_seed_sd,
        overlap=overlap,
        confidence=settings.confidence,
        measure=measure,
    )
