"""The bench's arithmetic: medians, ratios to peers, and whether an accuracy counts as no lower."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median, stdev

from scipy.stats import t

from benchmarks.speed.jobs import BEST, MARGIN, OURS

LEVEL = 0.95  # of the one-sided test


@dataclass(frozen=True)
class NonInferiority:
    """Differences of accuracy, ours less the peer's, over the seeds that both have.

    low: lower end of the one-sided 95% interval of their mean; None with one seed. told: "yes", "no" or "not told".
    """

    seeds: int
    difference: float
    low: float | None
    told: str


def non_inferior(ours: Mapping[int, float], peer: Mapping[int, float], *, margin: float = MARGIN) -> NonInferiority:
    """Whether our accuracy is no lower than a peer's by the margin or more: Student's t over the seeds.

    ours, peer: accuracies by seed; a seed has its own training images.

    Raises:
        ValueError: they have no seed in common.
    """
    differences = [ours[seed] - peer[seed] for seed in sorted(ours.keys() & peer.keys())]
    if not differences:
        raise ValueError("no seed in common")
    count, middle = len(differences), mean(differences)
    if count == 1:
        return NonInferiority(1, middle, None, "not told")
    low = middle - float(t.ppf(LEVEL, count - 1)) * stdev(differences) / count**0.5
    return NonInferiority(count, middle, low, "yes" if low > -margin else "no")


def ratios(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """How many times as long each peer takes as Headstart does, medians over repeats, and the best of the peers."""
    middle = {name: median(own) for name, own in values.items()}
    found = {name: middle[name] / middle[OURS] for name in values if name != OURS}
    return found | {BEST: min(found.values())}


def reached(found: Mapping[str, float], reach: Mapping[str, float]) -> bool:
    """Whether each ratio that is to be reached is there and is as large."""
    return all(found.get(name, 0.0) >= least for name, least in reach.items())
