"""What evaluate says of those that had no label of some classes."""

import pandas as pd

from tasks.evaluate import _unseen_lines


def test_scores_of_unseen_classes_are_said_to_be_means_over_draws():
    """The mean of two harmonic means, 0.5 and 0.3, is not the harmonic mean of the means, 0.5 and 0.375."""
    draws = [("seen", 0.5), ("seen", 0.5), ("unseen", 0.5), ("unseen", 0.25), ("harmonic_mean", 0.5)]
    rows = [("eszsl", *draw) for draw in [*draws, ("harmonic_mean", 0.3)]] + [("full", "seen", 0.9)]
    assert _unseen_lines(pd.DataFrame(rows, columns=["strategy", "metric", "value"]), ("b", "l")) == [
        "eszsl, without a label of b, l: accuracy by class of seen classes 50.0%, of unseen ones 37.5%, harmonic mean "
        "40.0%; each a mean over draws"
    ]
