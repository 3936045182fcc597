"""How many labelled rows the seeds have in common, and what that costs the interval."""

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import combinations
from math import sqrt

ALL_SHARED = 1.0


def average_overlap(seeds: Sequence[Sequence[Collection[str]]]) -> float | None:
    """Average over the pairs of seeds of |A & B| / sqrt(|A| |B|), the share of labels in common.

    seeds: the draws of each seed's trainings, one draw where there is a test set, one a fold in cross-validation; a
    draw has the unit (row or group) of each of its labels, so that two rows of one group count as the same.
    For two means over sets A and B of independent rows this ratio is exactly their correlation, also when the
    sets differ in size. None with fewer than two seeds; 0 where a draw is empty.

    In cross-validation a seed's score is a mean over its folds' trainings, so A and B become how often each unit was
    drawn, and the ratio their cosine. Where all labels outside a fold are used that is 1 whatever the seeds do: they
    differ in their partitions alone. It is taken at most at 1 - 1 / folds, the labels that two such trainings share.
    """
    counted = [Counter(name for draw in draws for name in draw) for draws in seeds]
    folds = max((len(draws) for draws in seeds), default=1)
    pairs = [_common(a, b) for a, b in combinations(counted, 2)]
    if not pairs:
        return None
    shared = sum(pairs) / len(pairs)
    return min(shared, 1 - 1 / folds) if folds > 1 else shared


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


def _common(a: Counter[str], b: Counter[str]) -> float:
    size = sqrt(_product(a, a) * _product(b, b))
    return _product(a, b) / size if size else 0.0


def _product(a: Counter[str], b: Counter[str]) -> int:
    return sum(number * b[name] for name, number in a.items())
