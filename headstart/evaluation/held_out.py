"""What a model says of rows that it did not see: a linear discriminant on vectors, in closed form."""

import warnings

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

PARTS = 5


def held_out_probabilities(vectors: NDArray[np.floating], given: Rows, *, seed: int) -> Floats:
    """(rows, classes) probabilities, each row's by a model of the other parts; classes in the order of their numbers.

    vectors: (rows, d); given: (rows,) numbers of classes, each of two rows or more. The covariance is shrunk (Ledoit
    and Wolf 2004). Columns that never change say nothing and are left out.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    rows = np.asarray(vectors, dtype=np.float64)
    rows = rows[:, np.ptp(rows, axis=0) > 0]
    model = make_pipeline(StandardScaler(), LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"))
    count = int(min(PARTS, np.unique(given, return_counts=True)[1].min()))
    parts = StratifiedKFold(count, shuffle=True, random_state=seed % 2**32)
    with warnings.catch_warnings(), threadpool_limits(1):  # sums of several threads differ in their last bits
        warnings.simplefilter("ignore")
        found: Floats = cross_val_predict(model, rows, given, cv=parts, method="predict_proba")
    return found
