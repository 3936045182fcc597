"""How many labelled rows the seeds have in common, and what that costs the interval."""

from collections.abc import Collection, Sequence
from itertools import combinations
from math import sqrt

ALL_SHARED = 1.0


def average_overlap(draws: Sequence[Collection[str]]) -> float | None:
    """Average over the pairs of seeds of |A & B| / sqrt(|A| |B|), the share of labelled rows in common.

    For two means over sets A and B of independent rows this ratio is exactly their correlation, also when the
    sets differ in size. None with fewer than two seeds; 0 where a draw is empty.
    """
    sets = [frozenset(draw) for draw in draws]
    pairs = [_common(a, b) for a, b in combinations(sets, 2)]
    return sum(pairs) / len(pairs) if pairs else None


def overlap_factor(overlap: float, *, seeds: int) -> float:
    """What the seed part of the variance is multiplied by: 1 + seeds * rho / (1 - rho), with rho the overlap.

    Seed means that correlate by rho have E[sample variance] = v (1 - rho), while their mean has the variance
    v (1 + (seeds - 1) rho) / seeds. The ratio of the second to (sample variance / seeds) is

        (1 + (seeds - 1) rho) / (1 - rho)  =  1 + seeds * rho / (1 - rho)

    which is the correction of Nadeau and Bengio (2003, "Inference for the generalization error"), their
    n_test / n_train being rho / (1 - rho). That a shared share rho of the labels makes a correlation of rho
    supposes that each labelled row moves the result a little and by itself; the part of the seed that is not
    labels (initialisation, order) correlates less, so the factor errs on the wide side.

    With ALL_SHARED labels the variance over label draws cannot be seen at all: the factor is 1, and the
    statement holds for these labels only.
    """
    if overlap >= ALL_SHARED:
        return 1.0
    return 1.0 + seeds * overlap / (1.0 - overlap)


def _common(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / sqrt(len(a) * len(b)) if a and b else 0.0
