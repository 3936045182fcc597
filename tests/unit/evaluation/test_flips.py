"""Flips, and the exact McNemar test against statsmodels."""

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar

from headstart.evaluation.flips import Flips, count_flips, exact_mcnemar


def test_wins_and_losses_are_summed_over_seeds_and_units_counted_once():
    differences = np.array([[1.0, -1.0, 0.0, 1.0], [1.0, 0.0, 0.0, -1.0]])
    assert count_flips(differences, np.arange(4)) == Flips(wins=3, losses=2, disagreeing_units=3)
    assert count_flips(differences, np.array([0, 0, 1, 0])) == Flips(wins=3, losses=2, disagreeing_units=1)


@pytest.mark.parametrize(("wins", "losses"), [(9, 1), (1, 9), (3, 3), (6, 0), (40, 25)])
def test_exact_p_value_is_statsmodels(wins, losses):
    expected = mcnemar([[100, wins], [losses, 50]], exact=True).pvalue
    assert exact_mcnemar(Flips(wins, losses, wins + losses)) == pytest.approx(expected)


def test_no_flips_are_no_evidence():
    assert exact_mcnemar(Flips(0, 0, 0)) == 1.0
