"""Numbers in words: literal expectations, and a dash for whatever is unknown."""

import math
from typing import Any

import pytest

from headstart.report import words


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.112, "+11.2"), (-0.031, "−3.1"), (0.0, "0.0"), (-0.0001, "0.0"), (None, "–"), (math.nan, "–"), ("x", "–")],
)
def test_points_are_signed(value: Any, expected: str) -> None:
    assert words.points(value) == expected


def test_interval_needs_both_ends() -> None:
    assert words.interval(-0.026, 0.088) == "−2.6 to +8.8"
    assert words.interval(-0.026, None) == "–"


@pytest.mark.parametrize(("value", "expected"), [(0.9451, "94.5%"), (1, "100.0%"), (True, "–"), (math.inf, "–")])
def test_percent(value: Any, expected: str) -> None:
    assert words.percent(value) == expected


def test_mean_and_sd_leave_out_what_one_seed_does_not_have() -> None:
    assert words.mean_sd(0.914, 0.017) == "91.4 ± 1.7"
    assert words.mean_sd(0.914, math.nan) == "91.4"
    assert words.mean_sd(math.nan, 0.1) == "–"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (0.5, "0.5 FLOP"),
        (999.6, "1 kFLOP"),
        (6e13, "60 TFLOP"),
        (1.985e13, "19.9 TFLOP"),
        (2.5e30, "2.5e+09 ZFLOP"),
        (None, "–"),
    ],
)
def test_flops_have_a_prefix(value: Any, expected: str) -> None:
    assert words.flops(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.05, "0.05 s"), (8.04, "8.0 s"), (59.6, "1 min 00 s"), (75, "1 min 15 s"), (4020, "1 h 07 min"), (None, "–")],
)
def test_durations(value: Any, expected: str) -> None:
    assert words.duration(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(12345.6, "12,300"), (99.6, "100"), (8.44, "8.4"), (0, "–"), (None, "–")]
)
def test_rates_have_no_more_digits_than_a_measurement(value: Any, expected: str) -> None:
    assert words.rate(value) == expected


@pytest.mark.parametrize(("value", "expected"), [(0.8412, "0.84 ms"), (9.96, "10 ms"), (12.34, "12 ms"), (None, "–")])
def test_milliseconds(value: Any, expected: str) -> None:
    assert words.milliseconds(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0.0123, "p = .012"), (1.0, "p = 1.000"), (1e-9, "p < .001"), (None, "–")]
)
def test_p_values_stay_on_one_line(value: Any, expected: str) -> None:
    assert words.probability(value).replace("\N{NO-BREAK SPACE}", " ") == expected
    assert " " not in words.probability(value)


@pytest.mark.parametrize(
    ("saved", "value", "between"),
    [
        ({"ratio": 4.1, "low": 2.2, "high": 7.9, "bound": "="}, "4.1×", "2.2× to 7.9×"),
        ({"ratio": 2.0, "low": 1.4, "high": None, "bound": ">="}, "≥ 2.0×", "at least 1.4×"),
        ({"ratio": 0.5, "low": None, "high": 0.8, "bound": "<="}, "≤ 0.50×", "at most 0.80×"),
        ({"ratio": None, "low": None, "high": 0.5, "bound": "<="}, "< 0.50×", ""),
        ({"ratio": 120.0, "censored": True}, "≥ 120×", ""),
        ({}, "–", ""),
        (None, "–", ""),
    ],
)
def test_savings_say_where_the_measurements_ended(saved: Any, value: str, between: str) -> None:
    assert words.times(saved) == value
    assert words.times_interval(saved) == between


def test_the_headline_is_cut_at_an_early_colon() -> None:
    sentence = "transfer helped: full +4.1 points: from this W"
    assert words.headline(sentence) == ("Transfer helped", "full +4.1 points: from this W")
    assert words.headline("no colon here") == ("", "No colon here")
    assert words.headline("x" * 80 + ": y")[0] == ""


def test_counts_and_names() -> None:
    assert words.counted(1, "seed") == "1 seed"
    assert words.counted(1797, "row") == "1,797 rows"
    assert (words.brief(12.0), words.brief(12.4)) == ("12", "12.4")
    assert words.shorten("Golden Retriever", 8) == "Golden…"
    assert words.shorten("cat", 8) == "cat"
