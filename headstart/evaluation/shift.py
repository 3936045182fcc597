"""How far the source lies from the target: whether a classifier tells their rows apart, on rows that it did not see.

The classifier two-sample test (Lopez-Paz and Oquab 2017, 1610.06545) with the area under the ROC curve: 0.5 where both
are of one distribution, 1 where no row is mistaken. Its interval is DeLong's (1988): normal, from each row's own share.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from headstart.evaluation.held_out import held_out_probabilities

MOST_ROWS = 1_000  # of either


def told_apart(
    source: NDArray[np.floating], target: NDArray[np.floating], *, seed: int, confidence: float
) -> tuple[float, float, float]:
    """The AUC and its interval. source: (rows, d), target: (other rows, d), two of each or more."""
    vectors = np.concatenate([source, target])
    given = np.repeat(np.array([0, 1], dtype=np.intp), [len(source), len(target)])
    scores = held_out_probabilities(vectors, given, seed=seed)[:, 1]
    ranks = rankdata(scores)
    own = np.concatenate([rankdata(scores[given == 0]), rankdata(scores[given == 1])])
    # of each target row the share of source rows below it, of each source row the share of target rows above it
    above = (ranks - own)[given == 1] / len(source)
    below = 1 - (ranks - own)[given == 0] / len(target)
    auc = float(above.mean())
    error = float(np.sqrt(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below)))
    reach = float(norm.ppf(0.5 + confidence / 2)) * error
    return auc, max(0.0, auc - reach), min(1.0, auc + reach)


def draw_rows(count: int, *, seed: int) -> NDArray[np.intp]:
    """All rows, or MOST_ROWS of them drawn, in order."""
    if count <= MOST_ROWS:
        return np.arange(count)
    return np.sort(np.random.default_rng([seed, 3]).permutation(count)[:MOST_ROWS])
