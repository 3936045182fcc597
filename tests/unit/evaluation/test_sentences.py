"""Each sentence, literally."""

import pytest

from headstart.evaluation.contrasts import Contrast
from headstart.evaluation.decision import Ruling
from headstart.evaluation.document import ControlCheck, Saving
from headstart.evaluation.flips import Flips
from headstart.evaluation.intervals import Interval
from headstart.evaluation.measures import points
from headstart.evaluation.resolution import Resolution, resolution
from headstart.evaluation.sentences import (
    contrast_sentence,
    equal_compute_sentence,
    resolution_line,
    saving_words,
    withheld_words,
)


def measured(low, estimate, high, **change) -> Contrast:
    row_part, seed_part = change.pop("parts", (1e-4, 2e-4))
    flips = change.pop("flips", 120)
    interval = Interval(estimate, low, high, change.pop("p_value", 0.001), 0.01, 9.0, row_part, seed_part)
    given = {"p_value": interval.p_value, "overlap": 0.0, "seeds": 5, "units": 800, "rows": 800}
    return Contrast(interval=interval, flips=Flips(300, 100, flips), **(given | change))


def exactly(ratio: float) -> Saving:
    return Saving(ratio=ratio, low=ratio, high=ratio, censored=False, bound="=")


def sentence(contrast: Contrast, verdict: str, reason: str | None = None, **change) -> str:
    ruling = Ruling(verdict, reason, change.pop("p_holm", 0.001), change.pop("withheld", None))
    given = {"strategy": "full", "against": "scratch", "confidence": 0.95, "margin": 0.01, "labels_saved": None}
    return contrast_sentence(ruling, contrast, **(given | change))


HELPED = measured(0.089, 0.112, 0.134)


def test_helped():
    assert sentence(HELPED, "helped", labels_saved=exactly(4.1)) == (
        "transfer helped: full +11.2 points over training from scratch (95% CI +8.9..+13.4; from this W),"
        " 4.1x fewer labels for the same accuracy"
    )


def test_helped_beyond_the_end_of_scratchs_curve():
    saving = Saving(ratio=2, low=2, high=None, censored=True, bound=">=")
    assert sentence(HELPED, "helped", labels_saved=saving) == (
        "transfer helped: full +11.2 points over training from scratch (95% CI +8.9..+13.4; from this W),"
        " at least 2.0x fewer labels for the same accuracy"
    )


@pytest.mark.parametrize("saving", [None, exactly(1.02), Saving(ratio=1, low=1, high=None, censored=True, bound=">=")])
def test_a_saving_of_nothing_is_not_mentioned(saving):
    assert sentence(HELPED, "helped", labels_saved=saving) == (
        "transfer helped: full +11.2 points over training from scratch (95% CI +8.9..+13.4; from this W)"
    )


def test_helped_against_the_source():
    assert sentence(HELPED, "helped", against="source") == (
        "transfer helped: full +11.2 points over the source model as it is (95% CI +8.9..+13.4; from this W)"
    )


def test_hurt():
    assert sentence(measured(-0.05, -0.031, -0.012), "hurt", labels_saved=exactly(0.62)) == (
        "transfer hurt: full -3.1 points against training from scratch (95% CI -5.0..-1.2; from this W),"
        " an accuracy that training from scratch reaches with 0.62x the labels"
    )


def test_hurt_below_the_start_of_scratchs_curve():
    saving = Saving(ratio=0.5, low=None, high=0.5, censored=True, bound="<=")
    assert sentence(measured(-0.05, -0.031, -0.012), "hurt", labels_saved=saving) == (
        "transfer hurt: full -3.1 points against training from scratch (95% CI -5.0..-1.2; from this W),"
        " an accuracy that training from scratch reaches with at most 0.5x the labels"
    )


def test_equivalent():
    assert sentence(measured(-0.006, 0.001, 0.008), "equivalent", labels_saved=exactly(1.3)) == (
        "transfer made no difference (equivalent within 1 point):"
        " full +0.1 points over training from scratch (95% CI -0.6..+0.8; from this W)"
    )


def test_the_margin_is_printed_as_it_was_set():
    assert "(equivalent within 2.5 points)" in sentence(measured(-0.01, 0.0, 0.01), "equivalent", margin=0.025)
    assert "(equivalent within 0.5 points)" in sentence(measured(-0.01, 0.0, 0.01), "equivalent", margin=0.005)


def test_not_settled_for_want_of_seeds():
    assert sentence(measured(-0.009, 0.012, 0.033), "not settled", "wide") == (
        "not settled whether transfer helped: full +1.2 points over training from scratch"
        " (95% CI -0.9..+3.3; from this W); more seeds would narrow it most (5 seeds now)"
    )


def test_not_settled_for_want_of_test_rows():
    contrast = measured(-0.033, -0.012, 0.009, parts=(2e-4, 1e-4), rows=1200, units=1200)
    assert sentence(contrast, "not settled", "wide") == (
        "not settled whether transfer helped: full -1.2 points against training from scratch"
        " (95% CI -3.3..+0.9; from this W); more test rows would narrow it most (1,200 now)"
    )


def test_not_settled_for_want_of_groups():
    assert sentence(measured(-0.033, 0.0, 0.033, parts=(2e-4, 1e-4), units=40), "not settled", "wide") == (
        "not settled whether transfer helped: full +0.0 points against training from scratch"
        " (95% CI -3.3..+3.3 over 40 groups; from this W); more test groups would narrow it most (40 now)"
    )


def test_not_settled_after_holm():
    assert sentence(measured(0.001, 0.012, 0.023, p_value=0.032), "not settled", "corrected", p_holm=0.064) == (
        "not settled whether transfer helped: full +1.2 points over training from scratch"
        " (95% CI +0.1..+2.3; from this W), but p = 0.064 after Holm's correction for two comparisons"
    )


def test_not_settled_by_the_exact_test():
    contrast = measured(0.001, 0.012, 0.023, p_value=0.063, seeds=1, overlap=None)
    assert sentence(contrast, "not settled", "corrected", p_holm=0.063) == (
        "not settled whether transfer helped: full +1.2 points over training from scratch"
        " (95% CI +0.1..+2.3; for these two models, from this W), but p = 0.063 by the exact McNemar test"
    )


def test_not_settled_for_too_few_units():
    assert sentence(measured(0.1, 0.2, 0.3, units=8, rows=8), "not settled", "few units") == (
        "not settled whether transfer helped: full +20.0 points over training from scratch"
        " (95% CI +10.0..+30.0; from this W); 8 test rows cannot settle it, at least 10 are needed"
    )
    assert sentence(measured(0.1, 0.2, 0.3, units=1), "not settled", "few units") == (
        "not settled whether transfer helped: full +20.0 points over training from scratch"
        " (95% CI +10.0..+30.0 over 1 group; from this W); 1 test group cannot settle it, at least 10 are needed"
    )


def test_not_settled_for_too_few_flips():
    assert sentence(measured(-0.003, 0.0, 0.003, flips=3), "not settled", "few flips") == (
        "not settled whether transfer helped: full +0.0 points against training from scratch"
        " (95% CI -0.3..+0.3; from this W); within 1 point, but only 3 test rows told the two apart:"
        " at least 10 are needed to call them equivalent"
    )


def test_withheld():
    check = ControlCheck(gain=0.024, low=0.01, high=0.038, p_value=0.003, seeds=5, still_improves=True)
    assert sentence(HELPED, "not settled", "withheld", withheld=withheld_words(check)) == (
        "not settled whether transfer helped: training from scratch still improves (+2.4 points from doubling its"
        " steps), so the verdict is withheld: raise strategies.scratch.steps; so far full +11.2 points over training"
        " from scratch (95% CI +8.9..+13.4; from this W)"
    )


def test_one_seed():
    assert sentence(measured(0.089, 0.112, 0.134, seeds=1, overlap=None), "helped") == (
        "transfer helped: full +11.2 points over training from scratch"
        " (95% CI +8.9..+13.4; for these two models, from this W)"
    )
    wide = measured(-0.01, 0.012, 0.034, seeds=1, overlap=None, parts=(1e-4, 0.0))
    assert sentence(wide, "not settled", "wide") == (
        "not settled whether transfer helped: full +1.2 points over training from scratch"
        " (95% CI -1.0..+3.4; for these two models, from this W); more seeds are needed to say more (1 seed now)"
    )


def test_shared_labels():
    assert sentence(measured(0.089, 0.112, 0.134, overlap=1.0), "helped") == (
        "transfer helped: full +11.2 points over training from scratch"
        " (95% CI +8.9..+13.4; for these labels, from this W)"
    )


def test_overlapping_labels():
    assert sentence(measured(0.089, 0.112, 0.134, overlap=0.254), "helped") == (
        "transfer helped: full +11.2 points over training from scratch"
        " (95% CI +8.9..+13.4; from this W, seeds share 25% of their labels)"
    )
    assert "seeds share under 1% of their labels" in sentence(measured(0.1, 0.2, 0.3, overlap=0.004), "helped")


def test_groups():
    assert sentence(measured(0.089, 0.112, 0.134, units=40), "helped") == (
        "transfer helped: full +11.2 points over training from scratch (95% CI +8.9..+13.4 over 40 groups; from this W)"
    )


def test_equal_compute():
    assert equal_compute_sentence("full", HELPED, confidence=0.9) == (
        "at equal compute: full +11.2 points over training from scratch (90% CI +8.9..+13.4; from this W)"
    )


def test_the_confidence_is_printed_as_it_was_set():
    assert "(97.5% CI +8.9..+13.4; from this W)" in sentence(HELPED, "helped", confidence=0.975)


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [(0.112, "+11.2"), (-0.0312, "-3.1"), (0.0, "+0.0"), (-0.0, "+0.0"), (0.0003, "+0.03"), (-0.0003, "-0.03")],
)
def test_points_keep_their_sign(fraction, expected):
    assert points(fraction) == expected


@pytest.mark.parametrize(
    ("saving", "expected"),
    [
        (Saving(ratio=4.1, low=2.2, high=7.9, censored=False, bound="="), "4.1x (2.2x..7.9x)"),
        (Saving(ratio=4.1, low=None, high=None, censored=False, bound="="), "4.1x"),
        (Saving(ratio=1240, low=None, high=12_600, censored=False, bound="="), "1,200x (13,000x or less)"),
        (Saving(ratio=2, low=1.4, high=None, censored=True, bound=">="), "at least 2x (1.4x or more)"),
        (Saving(ratio=2, low=2, high=None, censored=True, bound=">="), "at least 2x"),
        (Saving(ratio=0.5, low=None, high=0.8, censored=True, bound="<="), "at most 0.5x (0.8x or less)"),
        (Saving(ratio=None, low=None, high=0.7, censored=True, bound="<="), "below 0.7x"),
        (Saving(ratio=None, low=None, high=None, censored=False, bound="="), "unknown"),
    ],
)
def test_savings_in_words(saving, expected):
    assert saving_words(saving) == expected


def test_resolution_line():
    assert resolution_line(resolution(units=1200, seeds=5)) == (
        "resolution: 1,200 test rows and 5 seeds give a 95% interval of about +-2.7 points"
        " (expecting 10% of the rows to differ and a seed s.d. of 2.0 points)"
    )
    one = Resolution(half_width=0.044, units=40, seeds=1, disagreement=0.1, seed_sd=0.02, confidence=0.9)
    assert resolution_line(one, unit="groups") == (
        "resolution: 40 test groups and 1 seed give a 90% interval of about +-4.4 points"
        " (expecting 10% of the groups to differ; with one seed, of these two models only)"
    )


def test_cross_validation_is_said():
    contrast = measured(-0.05, 0.01, 0.07, folds=5)
    assert "from this W, by 5-fold cross-validation repeated 5 times)" in sentence(contrast, "not settled", "wide")
    assert sentence(contrast, "not settled", "wide").endswith("; more rows would narrow it most (800 now)")
    assert "by 5-fold cross-validation)" in sentence(
        measured(-0.05, 0.01, 0.07, folds=5, seeds=1, overlap=None), "not settled", "wide"
    )


def test_resolution_line_of_cross_validation():
    line = resolution_line(resolution(units=60, seeds=5, overlap=0.5), folds=5)
    assert line.startswith(
        "resolution: 60 rows by 5-fold cross-validation repeated 5 times give a 95% interval of about +-"
    )
