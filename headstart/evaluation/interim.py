"""The interim verdict: how the best way to transfer stands on the budget's held-out labels. No test row is looked at.

Each seed holds out labels of its own, on which all its entrants are scored: the paired differences of the seeds' means
are what there is to know, and the interval is that of their mean over the seeds.
"""

from dataclasses import dataclass
from math import sqrt

import pandas as pd
from scipy.stats import t as student

from headstart.entrants import CONTROL, source_as_it_is, words
from headstart.errors import DataError
from headstart.evaluation.intervals import one_flip
from headstart.evaluation.measures import Measure
from headstart.evaluation.overlap import overlap_factor


@dataclass(frozen=True)
class HeldOut:
    """What is known of the held-out labels beside the scores on them.

    rows: of a seed. overlap: share of labels that two seeds have in common, None with one seed. margin: differences
    below this count for nothing.
    """

    rows: int
    overlap: float | None
    confidence: float
    margin: float
    measure: Measure


@dataclass(frozen=True)
class Lead:
    """How far an entrant is ahead of an opponent; bounds are None with one seed, which shows no spread."""

    against: str
    difference: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Standing:
    """The best entrant on held-out labels, and its leads over the control and the source model as it is."""

    entrant: str
    leads: tuple[Lead, ...]
    margin: float

    @property
    def short_of(self) -> tuple[Lead, ...]:
        """The leads that are no more than the margin; none where there is nothing to remedy."""
        return tuple(lead for lead in self.leads if round(lead.difference, 9) <= self.margin)  # a point is a point


def standing(cells: pd.DataFrame, entrant: str, held: HeldOut) -> Standing:
    """Where an entrant stands, of cells as cells.csv has them.

    Raises:
        DataError: the control's seeds are not those of the entrant.
    """
    names = set(cells[cells["variant"] == ""]["strategy"])
    own = source_as_it_is(entrant)
    opponents = [CONTROL] + [own] * (own in names and own != entrant)
    return Standing(entrant, tuple(lead(cells, entrant, name, held) for name in opponents), held.margin)


def lead(cells: pd.DataFrame, entrant: str, opponent: str, held: HeldOut) -> Lead:
    """The mean difference of two entrants' held-out scores over the seeds, with its t interval.

    Seeds that share labels know less than they seem to (overlap.py). One flipped row on top keeps an interval from
    being too sure of itself where the seeds agree by chance.

    Raises:
        DataError: they were not run with the same seeds.
    """
    ours, theirs = _by_seed(cells, entrant), _by_seed(cells, opponent)
    if not len(ours) or list(ours.index) != list(theirs.index):
        raise DataError(
            f"{entrant} has seeds {list(ours.index)} and {opponent} has {list(theirs.index)}; run the missing ones"
        )
    gaps = ours - theirs
    mean, seeds = float(gaps.mean()), len(gaps)
    if seeds == 1:
        return Lead(opponent, mean, None, None)
    flip = one_flip(seeds * held.rows) * held.measure.scale**2
    error = sqrt(overlap_factor(held.overlap or 0.0, seeds=seeds) * float(gaps.var(ddof=1)) / seeds + flip)
    half = float(student.ppf((1 + held.confidence) / 2, seeds - 1)) * error
    limit = held.measure.largest
    return Lead(opponent, mean, max(mean - half, -limit), min(mean + half, limit))


def standing_words(found: Standing, held: HeldOut) -> str:
    """Such as "full +2.0 points against scratch (95% CI -1.0..+5.0)" and so on, on held-out labels."""
    leads = " and ".join(lead_words(lead, held) for lead in found.leads)
    return f"{words(found.entrant)} on held-out labels: {leads}"


def lead_words(found: Lead, held: HeldOut) -> str:
    """Such as "+2.0 points against scratch (95% CI -1.0..+5.0)"."""
    measure, interval = held.measure, ""
    if found.low is not None and found.high is not None:
        interval = f" ({100 * held.confidence:.4g}% CI {measure.signed(found.low)}..{measure.signed(found.high)})"
    return f"{measure.amount(found.difference)} against {words(found.against)}{interval}"


def _by_seed(cells: pd.DataFrame, entrant: str) -> "pd.Series[float]":
    own = cells[(cells["strategy"] == entrant) & (cells["variant"] == "")]
    return own.set_index("seed")["validation_score"].sort_index().astype(float)
