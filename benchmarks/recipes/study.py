"""The study: one factor at a time on validation scores, then a confirmation on labels that the search never saw.

The search goes from factor to factor, keeping the best value of each by the mean validation score over the pairs (ties:
the lower validation loss). That chases noise as well, so what it found, where it is ahead by more than the margin, is
compared with where it began once more, on fresh draws of labels, and a default changes only if that interval lies
above 0. Test rows have no part in any of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import t as student

from benchmarks.recipes.pairs import Recipe
from headstart.evaluation.intervals import Floats
from headstart.evaluation.settings import EvaluationSettings

SEARCHED, CONFIRMED = (0, 1, 2), (3, 4, 5)  # draws of labels
MARGIN = EvaluationSettings().margin  # differences below it count as equivalent, here as in the verdict

Scores = tuple[Floats, Floats]  # validation scores and losses, (pairs, seeds)
Cells = Callable[[Sequence[tuple[str, Recipe]], Sequence[int]], list[Scores]]


@dataclass(frozen=True)
class Design:
    """Where the search begins (the default before the study), and the values of each factor, in order."""

    start: Recipe
    factors: tuple[tuple[str, tuple[Any, ...]], ...]

    @property
    def trials(self) -> int:
        """Recipes that are tried, the start included."""
        return 1 + sum(len(values) - 1 for _, values in self.factors)


DESIGNS: dict[str, Design] = {
    "scratch": Design(  # as many trials as the best-tuned of the others
        {"learning_rates": (0.01,), "steps": 600, "weight_decay": 0.05},
        (
            ("learning_rates", ((0.005,), (0.01,), (0.02,))),
            ("steps", (300, 600)),
            ("weight_decay", (0.05, 0.2)),
        ),
    ),
    "linear_probe": Design({"levels": 2}, (("levels", (1, 2, 3)),)),
    "frozen_blocks": Design(
        {"fixed_blocks": 2, "learning_rates": (0.004,)},
        (
            ("fixed_blocks", (1, 2, 3)),
            ("learning_rates", ((0.002,), (0.004,), (0.008,))),
        ),
    ),
    "full": Design(
        {"learning_rates": (0.004,), "layer_decay": 0.8},
        (
            ("learning_rates", ((0.002,), (0.004,), (0.008,))),
            ("layer_decay", (0.65, 0.8, 1.0)),
        ),
    ),
    "lp_ft": Design(
        {"learning_rates": (0.001,), "layer_decay": 0.8},
        (
            ("learning_rates", ((0.001,), (0.002,), (0.004,))),
            ("layer_decay", (0.65, 0.8, 1.0)),
        ),
    ),
    "l2_sp": Design({"alpha": 0.01}, (("alpha", (0.001, 0.01, 0.1)),)),
    "gradual": Design({"thawed_by": 0.5}, (("thawed_by", (0.25, 0.5, 1.0)),)),
    "wise_ft": Design({"learning_rates": (0.001,)}, (("learning_rates", ((0.001,), (0.004,))),)),
    "co_tuning": Design({"weight": 2.3}, (("weight", (0.5, 2.3)),)),
    "joint_supervised": Design(
        {"source_weight": 0.5, "align": 1.0},
        (
            ("source_weight", (0.1, 0.5)),
            ("align", (0.0, 1.0, 10.0)),
        ),
    ),
    "fixmatch": Design({"threshold": 0.95}, (("threshold", (0.8, 0.95)),)),
    "rotation": Design({"weight": 0.5}, (("weight", (0.1, 0.5)),)),
    "nearest_mean": Design({}, ()),
    "knn": Design({}, ()),
    "lda": Design({}, ()),
    "coral": Design({}, ()),
}


@dataclass(frozen=True)
class Trial:
    """A recipe with its validation scores and losses, (pairs, seeds), and the factor that it was tried for."""

    factor: str
    recipe: Recipe
    scores: Floats
    losses: Floats

    @property
    def rank(self) -> tuple[float, float]:
        """Higher is better; rounded, for a mean's last bit depends on how the cells share what is right."""
        return round(float(self.scores.mean()), 9), -round(float(self.losses.mean()), 9)


def search(designs: dict[str, Design], cells: Cells) -> dict[str, list[Trial]]:
    """All trials of each strategy in order; `best` of them is what the search found.

    All strategies' trials of a factor are run together, so that no core waits.
    """
    trials: dict[str, list[Trial]] = {name: [] for name in designs}
    _add(trials, [(name, "", design.start) for name, design in designs.items()], cells)
    for number in range(max(len(design.factors) for design in designs.values())):
        wanted = []
        for name, design in designs.items():
            for factor, values in design.factors[number : number + 1]:
                recipe = best(trials[name]).recipe
                wanted += [(name, factor, recipe | {factor: value}) for value in values if value != recipe[factor]]
        _add(trials, wanted, cells)
    return trials


def best(trials: Sequence[Trial]) -> Trial:
    """The trial with the best mean validation score; of equal ones the first."""
    return max(trials, key=lambda trial: trial.rank)


def _add(trials: dict[str, list[Trial]], wanted: list[tuple[str, str, Recipe]], cells: Cells) -> None:
    found = cells([(name, recipe) for name, _, recipe in wanted], SEARCHED)
    for (name, factor, recipe), (scores, losses) in zip(wanted, found, strict=True):
        trials[name].append(Trial(factor, recipe, scores, losses))


@dataclass(frozen=True)
class Difference:
    """A mean paired difference with its 95% interval."""

    estimate: float
    low: float
    high: float


def mean_difference(ours: Floats, theirs: Floats) -> Difference:
    """Of two recipes on the same cells, (pairs, seeds): for these pairs, and new draws of labels.

    Each pair's draws vary about a mean of their own; the variance within pairs is pooled, with its degrees of freedom.
    """
    differences = ours - theirs
    pairs, seeds = differences.shape
    free = pairs * (seeds - 1)
    variance = float(((differences - differences.mean(axis=1, keepdims=True)) ** 2).sum()) / free
    half_width = float(student.ppf(0.975, free)) * float(np.sqrt(variance / differences.size))
    estimate = float(differences.mean())
    return Difference(estimate, estimate - half_width, estimate + half_width)


@dataclass(frozen=True)
class Outcome:
    """What became of a strategy: every trial, what was found, how far it was ahead on fresh draws, what is kept.

    gain: of validation scores on CONFIRMED, loss: of validation losses (lower is better); None where the search got
    ahead of its beginning by no more than the margin.
    """

    trials: list[Trial]
    found: Recipe
    gain: Difference | None
    loss: Difference | None
    kept: Recipe


def confirm(designs: dict[str, Design], trials: dict[str, list[Trial]], cells: Cells) -> dict[str, Outcome]:
    """Keeps what was found only where it is better than the start on fresh draws, by more than noise."""
    outcomes = {name: Outcome(own, best(own).recipe, None, None, designs[name].start) for name, own in trials.items()}
    ahead = [name for name, own in trials.items() if (best(own).scores - own[0].scores).mean() > MARGIN]
    pairs = [(name, recipe) for name in ahead for recipe in (outcomes[name].found, designs[name].start)]
    scored = cells(pairs, CONFIRMED)
    for place, name in enumerate(ahead):
        (ours, our_loss), (theirs, their_loss) = scored[2 * place : 2 * place + 2]
        gain, loss = mean_difference(ours, theirs), mean_difference(our_loss, their_loss)
        kept = outcomes[name].found if gain.low > 0 else designs[name].start
        outcomes[name] = replace(outcomes[name], gain=gain, loss=loss, kept=kept)
    return outcomes
