"""The knobs of the evaluation."""

from pydantic import Field

from headstart.knobs import Knobs

# About 10% of test rows differ between two decent entrants (METHODS: half-width 2.0 points at 1,000 rows).
DISAGREEMENT = 0.10
# Seed s.d. of the difference of two entrants at 10 labels a class: tried on the embedded default, scratch 1.7
# points and full .9 (issue 3), sqrt(1.7^2 + .9^2) = 1.9.
SEED_SD = 0.02
# Tried on the turned digits at 50 labels: errors of full and scratch differ by 8.2 degrees from row to row (s.d. of the
# target 34.6, so .24) and by 0.75 from seed to seed (.02, as of rates).
ERROR_SD = 0.25


class EvaluationSettings(Knobs):
    """How sure a verdict must be, and what to expect before training."""

    margin: float = Field(0.01, gt=0, lt=1)
    """differences below this count as equivalent, as a fraction of test rows"""

    value_margin: float = Field(0.05, gt=0, lt=1)
    """the same where the target is a value, as a fraction of the target's s.d."""

    confidence: float = Field(0.95, ge=0.5, lt=1)
    """level of the intervals and of the verdict"""

    interval_level: float = Field(0.9, ge=0.5, lt=1)
    """share of new rows that the interval around a predicted value is to hold; another one trains such cells anew"""

    expected_disagreement: float = Field(DISAGREEMENT, gt=0, le=1)
    """for the plan alone: share of test rows on which two entrants differ"""

    expected_seed_sd: float = Field(SEED_SD, ge=0, le=1)
    """for the plan alone: s.d. over seeds of the difference of two entrants, as a fraction (values: of their s.d.)"""

    expected_error_sd: float = Field(ERROR_SD, gt=0)
    """for the plan of values: s.d. over test rows of the difference of two entrants' errors, by the target's s.d."""
