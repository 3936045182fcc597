"""Real learners under repeated cross-validation: the package's own splits, draws, overlap and interval.

Two ridge classifiers see one half each of features that are independent given the class, so both are equally good on
average over data sets, and differ as much as learners can. Nothing is taken from a model of variance components.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.datasets.splits import draw_labels, split_folds
from headstart.evaluation.contrasts import Contrast, contrast
from headstart.evaluation.overlap import average_overlap

DIMENSIONS, PENALTY = 8, 1.0


@dataclass(frozen=True)
class Study:
    """rows in `classes` classes, in groups of `group` rows that share part of their features; labels: a class."""

    rows: int = 60
    classes: int = 3
    group: int = 1
    group_share: float = 0.0
    labels: int = 10
    seeds: int = 5
    folds: int = 5
    distance: float = 1.2


@dataclass(frozen=True)
class Scores:
    """right: (learners, seeds, rows) of 0 and 1; group: (rows,); drawn: units by seed, fold and labelled row."""

    right: NDArray[np.float64]
    group: NDArray[np.intp]
    drawn: list[list[list[str]]]


def compare(study: Study, run: int) -> Contrast:
    """One new data set, both learners on it, and what is said of their difference."""
    found = cross_validate(study, run)
    overlap = average_overlap(found.drawn)
    return contrast(found.right[0], found.right[1], units=found.group, overlap=overlap, confidence=0.95)


def cross_validate(study: Study, run: int) -> Scores:
    """Both learners on a new data set, by the folds and labels that a run with this number would have."""
    draw = np.random.default_rng([run, study.rows, study.group])
    group = np.arange(study.rows) // study.group
    truth = group % study.classes
    halves = [_features(study, truth, group, draw) for _ in range(2)]
    ids = [f"{draw.integers(2**60):x}-{row}" for row in range(study.rows)]
    units, classes = [f"g{number}" for number in group], [f"c{number}" for number in truth]
    right = np.zeros((2, study.seeds, study.rows))
    drawn: list[list[list[str]]] = []
    for seed in range(study.seeds):
        fold = split_folds(classes, units, folds=study.folds, seed=run, repeats=[seed])[0]
        drawn.append([])
        for number in range(study.folds):
            pool, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
            rows = pool[
                draw_labels(
                    [ids[row] for row in pool],
                    [classes[row] for row in pool],
                    groups=[units[row] for row in pool],
                    budget=study.labels,
                    stride=study.rows,
                    seed=run,
                    draw=seed,
                )
            ]
            drawn[-1].append([units[row] for row in rows])
            for learner, features in enumerate(halves):
                right[learner, seed, test] = _ridge(features, truth, rows, test, study.classes) == truth[test]
    return Scores(right, group, drawn)


def _features(
    study: Study, truth: NDArray[np.intp], group: NDArray[np.intp], draw: np.random.Generator
) -> NDArray[np.float64]:
    """(rows, dimensions): a class mean, what the group shares, and what is the row's own, of variance 1 together."""
    means = np.eye(study.classes, DIMENSIONS) * study.distance
    own, shared = draw.normal(size=(study.rows, DIMENSIONS)), draw.normal(size=(study.rows, DIMENSIONS))[group]
    return np.asarray(means[truth] + np.sqrt(1 - study.group_share) * own + np.sqrt(study.group_share) * shared)


def _ridge(
    features: NDArray[np.float64],
    truth: NDArray[np.intp],
    rows: NDArray[np.intp],
    test: NDArray[np.intp],
    classes: int,
) -> NDArray[np.intp]:
    """Class numbers of the test rows by ridge regression on the labelled rows."""
    x, y = features[rows], np.eye(classes)[truth[rows]] * 2 - 1
    centre = x.mean(0)
    weight = np.linalg.solve(
        (x - centre).T @ (x - centre) + PENALTY * np.eye(DIMENSIONS), (x - centre).T @ (y - y.mean(0))
    )
    return np.asarray(((features[test] - centre) @ weight + y.mean(0)).argmax(1))
