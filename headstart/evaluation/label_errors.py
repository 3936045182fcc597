"""Labels that may be wrong: what a model of the other rows says of each.

Classes by confident learning (Northcutt 2021, 1911.00068): probabilities of each row by a model that did not see it; a
row counts as another class's where its probability of that class is at least what rows of that class have on average.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.evaluation.held_out import PARTS, Floats, Rows, held_out_probabilities

FEWEST = 2  # rows of a class, that one of them can be told by the other
FAR = 4.0  # robust standard deviations, from which a value counts as wrong


@dataclass(frozen=True)
class Doubts:
    """Of each labelled row: how well its label fits (the lower, the worse), and what it would be by the others.

    wrong: whether it is estimated to be wrong. Of several values, likely is (rows, values).
    """

    margins: Floats
    likely: Floats
    wrong: NDArray[np.bool_]


def doubtful_classes(vectors: NDArray[np.floating], given: Rows, *, seed: int) -> Doubts | None:
    """vectors: (rows, d); given: (rows,) numbers of classes. None where no class can be told from another.

    Rows of a class that has less than FEWEST of them are not doubted.
    """
    numbers, counts = np.unique(given, return_counts=True)
    classes = numbers[counts >= FEWEST]
    if len(classes) < 2:
        return None
    known = np.isin(given, classes)
    places = np.searchsorted(classes, given[known])
    probabilities = held_out_probabilities(vectors[known], places, seed=seed)
    each = np.arange(len(places))
    own, others = probabilities[each, places], probabilities.copy()
    others[each, places] = -1.0
    typical = np.array([own[places == place].mean() for place in range(len(classes))])
    confident = np.where(probabilities >= typical, probabilities, -1.0)
    doubts = Doubts(np.ones(len(given)), given.astype(np.float64), np.zeros(len(given), dtype=bool))
    doubts.margins[known] = own - others.max(axis=1)
    doubts.likely[known] = classes[others.argmax(axis=1)]
    doubts.wrong[known] = (confident.max(axis=1) >= 0) & (confident.argmax(axis=1) != places)
    return doubts


def doubtful_values(vectors: NDArray[np.floating], given: Floats, *, seed: int) -> Doubts | None:
    """The same of values (rows, values), by what a ridge regression makes of rows that it did not see.

    margins: minus the residual, in robust standard deviations of all residuals; of several values the largest. None of
    too few rows. Each value has a regression of its own; likely is (rows,) of one value.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    if len(given) < 2 * PARTS:
        return None
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))
    parts = KFold(PARTS, shuffle=True, random_state=seed % 2**32)
    with threadpool_limits(1):
        x = np.asarray(vectors, dtype=np.float64)
        likely = np.stack([cross_val_predict(model, x, column, cv=parts) for column in given.T], axis=1)
    residuals = np.abs(given - likely)
    spread = 1.4826 * np.median(residuals, axis=0)  # of normal residuals it is the s.d.; outliers do not move it
    spread[spread == 0] = 1.0
    wrong = (residuals >= FAR * spread).any(axis=1)
    return Doubts(-(residuals / spread).max(axis=1), likely[:, 0] if likely.shape[1] == 1 else likely, wrong)
