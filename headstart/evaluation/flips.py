"""Flips: test rows that one entrant got right and the other wrong, counted both ways."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from headstart.evaluation.intervals import Codes, Floats


@dataclass(frozen=True)
class Flips:
    """wins and losses are summed over seeds; disagreeing_units counts each unit once, whatever the seed."""

    wins: int
    losses: int
    disagreeing_units: int


def count_flips(differences: Floats, units: Codes) -> Flips:
    """Counts the flips of differences, (seeds, rows), in {-1, 0, 1}; units: (rows,), codes of the units."""
    return Flips(
        wins=int((differences > 0).sum()),
        losses=int((differences < 0).sum()),
        disagreeing_units=len(np.unique(units[(differences != 0).any(axis=0)])),
    )


def exact_mcnemar(flips: Flips) -> float:
    """Two-sided p-value that wins and losses are as likely; a statement about two fixed models (McNemar 1947)."""
    total = flips.wins + flips.losses
    return float(binomtest(flips.wins, total, 0.5).pvalue) if total else 1.0
