"""How often repeated cross-validation tells two equally good learners apart, with real learners and real splits.

The slow tier prints its figures, those of docs/statistics.md (pytest -s -m slow).
"""

import numpy as np
import pytest
from cross_validated_learners import Study, compare
from scipy import stats

SMALL = Study()  # 60 rows in 3 classes
STUDIES = {
    "60 rows, 10 labels": Study(),
    "60 rows, 5 labels": Study(labels=5),
    "60 rows, 16 labels (all)": Study(labels=16),
    "60 rows, 10 labels, 3 seeds": Study(seeds=3),
    "60 rows, 10 labels, 10 seeds": Study(seeds=10),
    "60 rows, 10 labels, easy": Study(distance=3.0),
    "36 rows, 6 labels": Study(rows=36, labels=6),
    "150 rows, 10 labels": Study(rows=150),
    "20 groups of 3, 5 labels": Study(group=3, group_share=0.4, labels=5),
    "20 groups of 6, 10 labels": Study(rows=120, group=6, group_share=0.4),
}


def figures(study: Study, runs: int) -> tuple[float, float, float]:
    """(false alarms at nominal 5%, median half-width, 1.96 s.d. of the estimates over data sets)."""
    found = [compare(study, run) for run in range(runs)]
    widths = [(contrast.interval.high - contrast.interval.low) / 2 for contrast in found]
    alarms = float(np.mean([contrast.p_value <= 0.05 for contrast in found]))
    spread = float(np.std([contrast.interval.estimate for contrast in found]))
    return alarms, float(np.median(widths)), 1.96 * spread


def at_most(nominal: float, runs: int) -> float:
    """What a true rate of `nominal` stays under in all but 1 of 1,000 simulations of this length."""
    return float(stats.binom.ppf(0.999, runs, nominal)) / runs


def test_sixty_rows_in_three_classes_get_an_honest_and_sensible_interval():
    """These learners disagree on half of the rows: 17 points is what 60 rows can do, and 5 of 60 runs one in 100."""
    alarms, width, possible = figures(SMALL, 60)
    assert alarms <= at_most(0.06, 60)
    assert 0.8 * possible < width < 1.6 * possible
    assert 0.12 < width < 0.28


def test_groups_are_the_units_of_labels_folds_and_interval():
    alarms, _, _ = figures(Study(group=3, group_share=0.4, labels=5), 40)
    assert alarms <= at_most(0.06, 40)


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_slow_false_alarms_of_repeated_cross_validation(name):
    runs = 1000
    alarms, width, possible = figures(STUDIES[name], runs)
    print(f"\n{name}: false alarms {alarms:.3f}, half-width {width:.3f}, 1.96 s.d. {possible:.3f}")
    assert alarms <= at_most(0.075, runs)
    assert width < 2.0 * possible
