"""The interim verdict: leads on held-out labels, their intervals, and when a target falls short."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from headstart.errors import DataError
from headstart.evaluation.interim import HeldOut, lead, lead_words, standing, standing_words
from headstart.evaluation.measures import RATE, Error

HELD = HeldOut(rows=20, overlap=0.0, confidence=0.95, margin=0.01, measure=RATE)


def cells(**scores) -> pd.DataFrame:
    rows = [(name.replace("_from_", "@"), "", seed, value) for name, own in scores.items() for seed, value in own]
    return pd.DataFrame(rows, columns=["strategy", "variant", "seed", "validation_score"])


def seeds(*values) -> list[tuple[int, float]]:
    return list(enumerate(values))


OURS, THEIRS = (0.9, 0.8, 0.95, 0.85, 0.7), (0.8, 0.75, 0.7, 0.9, 0.6)


def test_a_lead_is_the_mean_of_the_seeds_paired_differences():
    found = lead(cells(full=seeds(*OURS), scratch=seeds(*THEIRS)), "full", "scratch", HELD)
    assert found.difference == pytest.approx(np.mean(np.subtract(OURS, THEIRS)))


def test_its_interval_is_the_paired_t_tests_with_one_flip_on_top():
    many = HeldOut(rows=10**6, overlap=0.0, confidence=0.95, margin=0.01, measure=RATE)
    found = lead(cells(full=seeds(*OURS), scratch=seeds(*THEIRS)), "full", "scratch", many)
    plain = ttest_rel(OURS, THEIRS).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=1e-5)
    wider = lead(cells(full=seeds(*OURS), scratch=seeds(*THEIRS)), "full", "scratch", HELD)
    assert wider.low < found.low < found.high < wider.high


def test_seeds_that_agree_are_not_certainty():
    found = lead(cells(full=seeds(0.9, 0.9, 0.9), scratch=seeds(0.8, 0.8, 0.8)), "full", "scratch", HELD)
    assert found.low < found.difference < found.high


def test_seeds_that_share_labels_know_less():
    table = cells(full=seeds(*OURS), scratch=seeds(*THEIRS))
    shared = HeldOut(rows=20, overlap=0.5, confidence=0.95, margin=0.01, measure=RATE)
    one, other = lead(table, "full", "scratch", HELD), lead(table, "full", "scratch", shared)
    assert other.high - other.low > 2 * (one.high - one.low)


def test_one_seed_has_no_interval():
    found = lead(cells(full=seeds(0.9), scratch=seeds(0.8)), "full", "scratch", HELD)
    assert (found.difference, found.low, found.high) == (pytest.approx(0.1), None, None)
    assert lead_words(found, HELD) == "+10.0 points against scratch"


def test_seeds_are_paired_by_their_number_not_their_place():
    table = cells(full=[(1, 0.5), (0, 0.9)], scratch=[(0, 0.8), (1, 0.4)])
    assert lead(table, "full", "scratch", HELD).difference == pytest.approx(0.1)


def test_different_seeds_are_refused():
    with pytest.raises(DataError, match=r"full has seeds \[0, 1\] and scratch has \[0\]; run the missing ones"):
        lead(cells(full=seeds(0.9, 0.9), scratch=seeds(0.8)), "full", "scratch", HELD)


def test_control_and_source_are_both_to_be_beaten_by_more_than_the_margin():
    table = cells(full=seeds(0.9, 0.9), scratch=seeds(0.8, 0.8), source=seeds(0.895, 0.895))
    found = standing(table, "full", HELD)
    assert [lead.against for lead in found.leads] == ["scratch", "source"]
    assert [lead.against for lead in found.short_of] == ["source"]


def test_just_the_margin_is_not_more_than_it():
    table = cells(full=seeds(0.95, 0.92, 0.93), scratch=seeds(0.94, 0.91, 0.92))
    found = standing(table, "full", HELD)
    assert found.leads[0].difference > 0.01, "by the last bit"
    assert len(found.short_of) == 1


def test_where_there_are_several_sources_its_own_is_the_one_to_beat():
    table = cells(
        full_from_a=seeds(0.9, 0.9), scratch=seeds(0.8, 0.8), source_from_a=seeds(0.2, 0.2), source_from_b=seeds(1, 1)
    )
    found = standing(table, "full@a", HELD)
    assert [lead.against for lead in found.leads] == ["scratch", "source@a"]
    assert found.short_of == ()


def test_in_words():
    table = cells(full=seeds(*OURS), scratch=seeds(*THEIRS))
    said = standing_words(standing(table, "full", HELD), HELD)
    assert said.startswith("full on held-out labels: +9.0 points against scratch (95% CI -")


def test_values_are_in_their_unit_and_lower_errors_are_a_lead():
    held = HeldOut(rows=20, overlap=0.0, confidence=0.95, margin=0.5, measure=Error("degrees", 30.0))
    table = cells(full=seeds(-3.0, -4.0), scratch=seeds(-8.0, -9.0))
    found = standing(table, "full", held)
    assert found.leads[0].difference == pytest.approx(5.0)
    assert found.short_of == ()
    assert "+5.0 degrees against scratch (95% CI " in standing_words(found, held)
