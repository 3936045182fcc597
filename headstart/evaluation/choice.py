"""Whether a verdict hangs on the choice: the strategy was chosen on the same seeds that it is then judged by.

Of several ways that are equally good, the one whose trainings happened to come out well is chosen, and its test scores
carry that luck where seeds differ much: up to 10% false `helped` where 2.5% is nominal (docs/statistics.md). So each
seed is looked at with the way that the OTHER seeds choose. Where one way is clearly best that is the same comparison;
where it is not, `helped` has to hold for both.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from headstart.entrants import CONTROL, SOURCE, Entrant
from headstart.evaluation.intervals import Codes, Floats
from headstart.evaluation.outcomes import Outcomes


@dataclass(frozen=True)
class Crossed:
    """The way that the other seeds choose, by seed."""

    entrants: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many seeds have which, the most frequent first."""
        return dict(Counter(self.entrants).most_common())


def crossed(outcomes: Outcomes, chosen: str, budget: int, shown: Collection[str] = ()) -> Crossed | None:
    """By the held-out scores of the other seeds; ties go to `chosen`. None with one seed, or where all choose it.

    shown: strategies that are never chosen, beside the control and the source as it is.
    """
    seeds = outcomes.seeds(chosen, budget)
    if len(seeds) < 2:
        return None
    names = [chosen, *(name for name in _ways(outcomes, budget, seeds, {CONTROL, SOURCE, *shown}) if name != chosen)]
    held = np.stack([outcomes.column("validation_score", name, budget, seeds) for name in names])
    found = tuple(names[best] for best in chosen_by_others(held))
    return Crossed(found) if set(found) != {chosen} else None


def chosen_by_others(held: Floats) -> Codes:
    """Which way is best on the mean of the other seeds, by seed; the first of equal ones. held: (ways, seeds)."""
    others = (held.sum(axis=1, keepdims=True) - held) / (held.shape[1] - 1)
    best: Codes = others.round(9).argmax(axis=0)
    return best


def scores_by_seed(outcomes: Outcomes, entrants: Sequence[str], budget: int, seeds: Sequence[int]) -> Floats:
    """(seeds, rows): each seed's scores by its own entrant."""
    pairs = zip(entrants, seeds, strict=True)
    return np.concatenate([outcomes.scores(entrant, budget, [seed]) for entrant, seed in pairs])


def _ways(outcomes: Outcomes, budget: int, seeds: Sequence[int], never: Collection[str]) -> list[str]:
    """What might have been chosen: the ways to transfer that were run with these seeds and scored on held-out rows."""
    names = [name for name in outcomes.entrants() if Entrant.parse(name).strategy not in never]
    same = [name for name in names if outcomes.seeds(name, budget) == list(seeds)]
    return [name for name in same if np.isfinite(outcomes.column("validation_score", name, budget, seeds)).all()]
