"""False-alarm rates and coverage where the truth is known. The slow tier prints its figures (pytest -s -m slow)."""

import numpy as np
import pytest
from evaluation_simulator import Design, entrants, grouped_entrants, labelled_draws, true_accuracy
from scipy import stats

from headstart.evaluation.contrasts import contrast
from headstart.evaluation.control import check_control
from headstart.evaluation.gap import gap
from headstart.evaluation.intervals import Sampling
from headstart.evaluation.overlap import average_overlap
from headstart.evaluation.savings import labels_saved

BASE = Design().base


def false_alarms(design: Design, runs: int, *, corrected: bool = True) -> float:
    """Share of runs in which two equally good entrants are told apart at nominal 5%."""
    alarms = 0
    for run in range(runs):
        rng = np.random.default_rng([run, design.seeds])
        own, other = entrants(rng, design, [BASE, BASE])
        measured = contrast(
            own,
            other,
            units=np.arange(design.rows),
            overlap=design.overlap if corrected else 0.0,
            confidence=0.95,
        )
        alarms += measured.p_value <= 0.05
    return alarms / runs


def group_false_alarms(sizes: np.ndarray, seeds: int, runs: int, *, by_group: bool = True) -> float:
    alarms = 0
    for run in range(runs):
        (own, other), groups = grouped_entrants(np.random.default_rng(run), sizes, seeds, group_sd=0.7)
        units = groups if by_group else np.arange(len(groups))
        alarms += contrast(own, other, units=units, overlap=0.0, confidence=0.95).interval.p_value <= 0.05
    return alarms / runs


def at_most(nominal: float, runs: int) -> float:
    """What a true rate of `nominal` stays under in all but 1 of 1,000 simulations of this length."""
    return float(stats.binom.ppf(0.999, runs, nominal)) / runs


@pytest.mark.parametrize(
    "design",
    [
        Design(rows=800, seeds=5, seed_sd=0.0),
        Design(rows=800, seeds=5, seed_sd=0.03),
        Design(rows=200, seeds=10, seed_sd=0.07),
        Design(rows=800, seeds=1, seed_sd=0.0),
        Design(rows=400, seeds=5, seed_sd=0.03, overlap=0.25),
    ],
    ids=str,
)
def test_equal_entrants_are_told_apart_in_about_5_per_cent(design):
    assert false_alarms(design, 200) <= at_most(0.06, 200)


def test_seed_variance_is_what_one_seed_cannot_see():
    assert false_alarms(Design(rows=800, seeds=1, seed_sd=0.07), 200) > 0.4


def test_overlap_not_corrected_cries_wolf():
    assert false_alarms(Design(rows=400, seeds=10, seed_sd=0.05, overlap=0.5), 200, corrected=False) > 0.25


def test_groups_are_the_unit():
    sizes = np.tile([5, 10, 15], 10)
    assert group_false_alarms(sizes, 3, 200) <= at_most(0.06, 200)
    assert group_false_alarms(sizes, 3, 200, by_group=False) > 0.15


def test_a_true_difference_is_covered():
    design = Design(rows=400, seeds=5, seed_sd=0.02)
    assert coverage(design, 200) >= 1 - at_most(0.06, 200)


def coverage(design: Design, runs: int, gain: float = 0.4) -> float:
    """Share of runs whose interval holds the true difference of two unequal entrants."""
    truth = true_accuracy(BASE + gain, design) - true_accuracy(BASE, design)
    covered = 0
    for run in range(runs):
        own, other = entrants(np.random.default_rng(run), design, [BASE + gain, BASE])
        measured = contrast(own, other, units=np.arange(design.rows), overlap=0.0, confidence=0.95)
        covered += measured.interval.low <= truth <= measured.interval.high
    return float(covered) / runs


def labels_coverage(design: Design, runs: int) -> float:
    """Share of runs whose labels saved hold the true ratio; null bounds hold everything beyond."""
    bases = {5: 0.6, 10: 0.9, 20: 1.2, 40: 1.5}
    levels = [true_accuracy(base, design) for base in bases.values()]
    score = true_accuracy(1.3, design)
    truth = np.exp(np.interp(score, levels, np.log(list(bases)))) / 10
    covered = 0
    for run in range(runs):
        strategy, *curve = entrants(np.random.default_rng(run), design, [1.3, *bases.values()])
        saving = labels_saved(
            strategy,
            dict(zip(bases, curve, strict=True)),
            headline_budget=10,
            sampling=Sampling(np.arange(design.rows), 0.0, 0.95),
        )
        covered += (saving.low is None or saving.low <= truth) and (saving.high is None or truth <= saving.high)
    return float(covered) / runs


def gap_coverage(design: Design, runs: int) -> float:
    """Share of runs whose gap interval holds 0; training rows are 100 a seed, new ones each time."""
    covered = 0
    for run in range(runs):
        rng = np.random.default_rng(run)
        own, other = entrants(rng, design, [BASE, BASE])
        train = rng.binomial(100, 0.95, size=(2, design.seeds)) / 100
        found = gap(
            entrant=own,
            opponent=other,
            entrant_train=train[0] + own.mean(axis=1),  # overfits by the same 95 points, whatever the seed's shift
            opponent_train=train[1] + other.mean(axis=1),
            sampling=Sampling(np.arange(design.rows), 0.0, 0.95),
        )
        assert found is not None
        covered += found.low <= 0 <= found.high
    return float(covered) / runs


def withheld_rate(design: Design, runs: int, gain: float) -> float:
    """Share of runs in which the control counts as still improving."""
    withheld = 0
    for run in range(runs):
        full, half = entrants(np.random.default_rng(run), design, [BASE + gain, BASE])
        doubling = contrast(full, half, units=np.arange(design.rows), overlap=0.0, confidence=0.95)
        withheld += check_control(doubling, margin=0.01).still_improves
    return withheld / runs


def test_labels_saved_hold_the_true_ratio():
    assert labels_coverage(Design(rows=200, seeds=3, seed_sd=0.02), 30) >= 0.8


def test_the_simulated_overlap_is_the_overlap_asked_for():
    draws = labelled_draws(np.random.default_rng(0), Design(seeds=10, overlap=0.25))
    assert average_overlap([[[str(label) for label in draw]] for draw in draws]) == pytest.approx(0.25, abs=0.05)


RUNS = 2000


@pytest.mark.slow
@pytest.mark.parametrize("seed_sd", [0.0, 0.01, 0.03, 0.07])
@pytest.mark.parametrize("rows", [200, 800])
def test_slow_false_alarms_without_overlap(rows, seed_sd):
    rates = {seeds: false_alarms(Design(rows, seeds, seed_sd), RUNS) for seeds in (2, 3, 5, 10)}
    print(f"\nfalse alarms, {rows} rows, seed s.d. {seed_sd}: {rates}")
    assert max(rates[5], rates[10]) <= at_most(0.06, RUNS)
    assert max(rates[2], rates[3]) <= at_most(0.075, RUNS)


@pytest.mark.slow
@pytest.mark.parametrize("seed_sd", [0.01, 0.03, 0.07])
@pytest.mark.parametrize("overlap", [0.1, 0.25, 0.5])
def test_slow_false_alarms_with_overlap(overlap, seed_sd):
    designs = [Design(800, seeds, seed_sd, overlap) for seeds in (3, 5, 10)]
    rates = {d.seeds: (false_alarms(d, RUNS), false_alarms(d, RUNS, corrected=False)) for d in designs}
    print(f"\nfalse alarms, 800 rows, seed s.d. {seed_sd}, overlap {overlap}, (corrected, not): {rates}")
    assert max(corrected for corrected, _ in rates.values()) <= at_most(0.085, RUNS)


@pytest.mark.slow
@pytest.mark.parametrize(
    "sizes",
    [np.full(20, 10), np.full(40, 20), np.tile([1, 5, 30], 10), np.tile([5, 10, 15], 10)],
    ids=["20x10", "40x20", "1-5-30", "5-10-15"],
)
def test_slow_false_alarms_with_groups(sizes):
    rates = {
        seeds: (group_false_alarms(sizes, seeds, RUNS), group_false_alarms(sizes, seeds, RUNS, by_group=False))
        for seeds in (1, 3, 5)
    }
    print(f"\nfalse alarms, {len(sizes)} groups of {min(sizes)}..{max(sizes)}, (by group, by row): {rates}")
    assert max(by_group for by_group, _ in rates.values()) <= at_most(0.08, RUNS)


@pytest.mark.slow
@pytest.mark.parametrize("seed_sd", [0.0, 0.02, 0.05])
def test_slow_coverage(seed_sd):
    design = Design(rows=800, seeds=5, seed_sd=seed_sd)
    rates = {
        "difference": coverage(design, RUNS),
        "labels saved": labels_coverage(design, 300),
        "gap": gap_coverage(design, RUNS),
    }
    print(f"\ncoverage at 95%, 800 rows, 5 seeds, seed s.d. {seed_sd}: {rates}")
    assert min(rates["difference"], rates["gap"]) >= 1 - at_most(0.06, RUNS)
    assert rates["labels saved"] >= 1 - at_most(0.06, 300)


@pytest.mark.slow
@pytest.mark.parametrize("seed_sd", [0.0, 0.02, 0.05])
def test_slow_withheld(seed_sd):
    design = Design(rows=800, seeds=5, seed_sd=seed_sd)
    rates = {gain: withheld_rate(design, RUNS, gain) for gain in (0.0, 0.1, 0.2, 0.4)}
    gains = {gain: round(true_accuracy(BASE + gain, design) - true_accuracy(BASE, design), 3) for gain in rates}
    print(f"\nwithheld, 800 rows, 5 seeds, seed s.d. {seed_sd}: {rates}; true gains {gains}")
    assert rates[0.0] <= at_most(0.10, RUNS)
