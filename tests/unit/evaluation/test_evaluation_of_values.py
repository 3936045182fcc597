"""Values: errors in the target's unit, where positive still means that transfer is better."""

import json

import numpy as np
import pytest
from evaluation_simulator import run_frames
from scipy import stats
from sklearn import metrics as reference

from headstart.errors import DataError
from headstart.evaluation.contrasts import contrast
from headstart.evaluation.control import check_control, curve_warning
from headstart.evaluation.decision import Ruling
from headstart.evaluation.document import ControlCheck, Saving
from headstart.evaluation.evaluate import Evaluation, evaluate
from headstart.evaluation.intervals import Sampling, paired_interval
from headstart.evaluation.measures import RATE, Error, measure_of
from headstart.evaluation.metrics import mae, r2, rmse
from headstart.evaluation.resolution import planned_resolution, resolution
from headstart.evaluation.sentences import (
    contrast_sentence,
    equal_compute_sentence,
    lines,
    resolution_line,
    withheld_words,
)
from headstart.evaluation.settings import EvaluationSettings
from headstart.evaluation.verdict import rmse_scores

DEGREES = Error("degrees", 35.0)
ROWS = 200
SPREADS = {  # s.d. of each entrant's errors, in degrees
    ("scratch", "", 5, 1.0): 22.0,
    ("scratch", "", 10, 0.5): 25.0,
    ("scratch", "", 10, 1.0): 15.0,
    ("scratch", "", 20, 1.0): 11.0,
    ("scratch", "half_steps", 10, 1.0): 15.0,
    ("scratch", "equal_compute", 10, 1.0): 18.0,
    ("source", "", 10, 1.0): 26.0,
    ("probe", "", 10, 1.0): 13.0,
    ("full", "", 10, 0.5): 12.0,
    ("full", "", 10, 1.0): 9.0,
    ("full", "", 20, 1.0): 7.0,
}


def simulated_errors(rng: np.random.Generator, sds: list[float], *, rows: int, seeds: int, seed_sd: float) -> list:
    """(seeds, rows) of errors for each s.d.: rows differ in difficulty, entrants by row, seeds change an entrant's s.d.

    seed_sd: relative change of an entrant's s.d. from seed to seed.
    """
    difficulty = rng.lognormal(0, 0.4, rows)
    found = []
    for sd in sds:
        own = rng.normal(size=rows)  # an entrant's leaning on each row, the same for each seed
        noise = rng.normal(size=(seeds, rows))
        of_seed = 1 + seed_sd * rng.normal(size=(seeds, 1))
        found.append(sd * difficulty * of_seed * (0.8 * own + 0.6 * noise))
    return found


def value_frames(errors: dict, truth: np.ndarray) -> dict:
    """The arguments of `evaluate` from errors, by way of the simulator's frames for classes."""
    given = run_frames({key: np.ones_like(table) for key, table in errors.items()})
    given["truth"] = given["truth"].drop(columns="label").assign(value=truth)
    offs = np.concatenate([table.ravel() for table in errors.values()])
    values = given["predictions"]["id"].map(dict(zip(given["truth"]["id"], truth, strict=True))) + offs
    given["predictions"] = given["predictions"].assign(prediction=values, probabilities=None)
    given["cells"] = given["cells"].assign(train_score=-2.0, validation_score=-14.0)
    return given | {"classes": (), "measure": DEGREES}


def run(seeds: int = 5, **spread: float) -> dict:
    changed = SPREADS | {key: spread[key[0]] for key in SPREADS if key[0] in spread and key[2:] == (10, 1.0)}
    rng = np.random.default_rng(11)
    drawn = simulated_errors(rng, list(changed.values()), rows=ROWS, seeds=seeds, seed_sd=0.04)
    frames = value_frames(dict(zip(changed, drawn, strict=True)), rng.uniform(-60, 60, ROWS))
    return frames | {"chosen": "full", "headline_budget": 10, "settings": EvaluationSettings(), "opened": 1}


@pytest.fixture(scope="module")
def helped() -> Evaluation:
    return evaluate(**run())


def test_metrics_are_scikit_learns():
    rng = np.random.default_rng(0)
    truth, prediction = rng.normal(size=50), rng.normal(size=50)
    assert mae(truth, prediction) == pytest.approx(reference.mean_absolute_error(truth, prediction))
    assert rmse(truth, prediction) == pytest.approx(reference.root_mean_squared_error(truth, prediction))
    assert r2(truth, prediction) == pytest.approx(reference.r2_score(truth, prediction))
    assert np.isnan(r2(np.ones(3), np.zeros(3)))


def test_the_document(helped):
    document = json.loads(json.dumps(helped.verdict.model_dump(mode="json"), allow_nan=False))
    assert (document["metric"], document["unit"]) == ("mae", "degrees")
    assert document["margin"] == pytest.approx(0.05 * 35)
    scratch, table = document["against_scratch"], helped.comparison
    assert scratch["verdict"] == "helped"
    test = table[(table["split"] == "test") & (table["label_budget"] == 10)]
    means = test.groupby(["strategy", "metric"])["value"].mean()
    assert scratch["difference"] == pytest.approx(means["scratch", "mae"] - means["full", "mae"])
    assert document["rmse"]["difference"] == pytest.approx(means["scratch", "rmse"] - means["full", "rmse"])
    assert document["rmse"]["low"] < document["rmse"]["difference"] < document["rmse"]["high"]
    assert scratch["wins"] + scratch["losses"] == 5 * ROWS
    assert scratch["wins"] > scratch["losses"]
    assert scratch["labels_saved"]["ratio"] > 1.2
    assert scratch["compute_saved"]["given_w"]["ratio"] > 1
    assert (
        scratch["gap"]["difference"] < 0
    )  # the training errors are equal, so the smaller test error is the smaller gap
    assert document["control"]["still_improves"] is False


def test_the_tables(helped):
    full = helped.comparison[(helped.comparison["strategy"] == "full") & (helped.comparison["seed"] == 1)]
    full = full[full["label_budget"] == 10]
    assert list(zip(full["split"], full["metric"], strict=True)) == [
        ("test", "mae"),
        ("test", "rmse"),
        ("test", "r2"),
        ("validation", "mae"),
        ("train", "mae"),
    ]
    assert list(full["value"])[3:] == [14.0, 2.0]
    own = helped.predictions[(helped.predictions["strategy"] == "full") & (helped.predictions["seed"] == 1)].query(
        "label_budget == 10"
    )
    expected = reference.mean_absolute_error(own["truth"], own["prediction"])
    assert full["value"].iloc[0] == pytest.approx(expected)
    assert own["probabilities"].isna().all()
    assert list(helped.snapshots)[-1] == "mae"


def test_classes_have_neither_unit_nor_rmse_in_their_document():
    table = {
        (name, "", 10, 1.0): np.random.default_rng(0).integers(0, 2, (2, 30)).astype(float)
        for name in ("scratch", "full", "source")
    }
    given = run_frames(table) | {"chosen": "full", "headline_budget": 10, "settings": EvaluationSettings(), "opened": 1}
    assert not {"unit", "rmse"} & set(evaluate(**given).verdict.model_dump(mode="json"))


def test_savings_do_not_depend_on_the_unit(helped):
    """In tenths of degrees every error is ten times as large, and every ratio the same."""
    given = run()
    given["truth"] = given["truth"].assign(value=given["truth"]["value"] * 10)
    given["predictions"] = given["predictions"].assign(prediction=given["predictions"]["prediction"] * 10)
    scores = {name: given["cells"][name] * 10 for name in ("train_score", "validation_score")}
    given["cells"] = given["cells"].assign(**scores)
    other = evaluate(**(given | {"measure": Error("tenths", 350.0)})).verdict.against_scratch
    first = helped.verdict.against_scratch
    for name in ("difference", "low", "high", "standard_error"):
        assert getattr(other, name) == pytest.approx(10 * getattr(first, name))
    assert other.p_value == pytest.approx(first.p_value)
    assert other.labels_saved.model_dump() == pytest.approx(first.labels_saved.model_dump())
    assert other.compute_saved.given_w.model_dump() == pytest.approx(first.compute_saved.given_w.model_dump())
    assert other.gap.difference == pytest.approx(10 * first.gap.difference)


def test_hurt():
    verdict = evaluate(**run(full=21.0)).verdict
    assert verdict.against_scratch.verdict == "hurt"
    assert verdict.against_scratch.difference < 0
    assert verdict.sentence.startswith("transfer hurt: full's MAE is ")
    assert " degrees higher than training from scratch's (gain -" in verdict.sentence


def test_the_lines_that_are_printed(helped):
    said = lines(helped.verdict, DEGREES)
    assert said[0] == helped.verdict.sentence
    assert said[0].startswith("transfer helped: full's MAE is ")
    assert " degrees lower than training from scratch's (95% CI +" in said[0]
    assert said[0].endswith("x fewer labels for the same MAE")
    assert " degrees lower than that of the source model as it is (" in said[1]
    assert not [line for line in said if "points" in line or "%" in line.replace("95% CI", "")]


def test_a_value_that_is_no_number_is_refused():
    given = run()
    given["predictions"].loc[7, "prediction"] = float("nan")
    with pytest.raises(DataError, match=r"predictions has the value 'nan', which is no finite number; a training that"):
        evaluate(**given)


def test_equal_predictions_are_not_certain():
    """A floor of one row whose errors differ by the target's s.d."""
    found = contrast(
        np.full((5, 100), -3.0), np.full((5, 100), -3.0), units=np.arange(100), overlap=0.0, confidence=0.95,
        measure=DEGREES,
    )  # fmt: skip
    assert found.interval.estimate == 0.0
    assert found.interval.standard_error == pytest.approx(35 / 102)
    assert found.flips.disagreeing_units == 0


def test_one_seed_has_the_t_intervals_p_value():
    rng = np.random.default_rng(0)
    own, other = -np.abs(rng.normal(0, 1, (2, 1, 50)))
    found = contrast(own, other, units=np.arange(50), overlap=None, confidence=0.95, measure=Error("m", 1e-6))
    expected = stats.ttest_rel(own[0], other[0]).pvalue  # the floor of so small a scale is nothing
    assert found.p_value == pytest.approx(expected, rel=1e-3)


def test_errors_have_no_bound():
    found = paired_interval(np.full((2, 30), 500.0), Sampling(np.arange(30), 0.0, 0.95, 35.0, np.inf))
    assert found.high > 500


def test_rmse_scores_average_to_minus_the_rmse():
    errors = np.random.default_rng(0).normal(0, 3, (4, 50))
    expected = -np.sqrt((errors**2).mean(axis=1))
    assert rmse_scores(errors).mean(axis=1) == pytest.approx(expected)
    assert np.abs(rmse_scores(np.zeros((2, 3)))).max() == pytest.approx(0.0)


def test_the_rmse_interval_is_about_as_wide_as_a_bootstraps():
    rng = np.random.default_rng(0)
    own, other = rng.normal(0, 3, (1, 400)), rng.normal(0, 4, (1, 400))
    found = contrast(
        rmse_scores(own), rmse_scores(other), units=np.arange(400), overlap=None, confidence=0.95, measure=Error("", 1)
    )
    rows = rng.integers(0, 400, (2000, 400))
    drawn = np.sqrt((other[0][rows] ** 2).mean(1)) - np.sqrt((own[0][rows] ** 2).mean(1))
    assert found.interval.standard_error == pytest.approx(drawn.std(), rel=0.1)


# ---- in words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "number", "expected"),
    [
        (35.0, 3.2, "+3.2 degrees"),
        (35.0, -0.004, "-0.004 degrees"),
        (35.0, 0.0, "+0.0 degrees"),
        (1.0, 0.123, "+0.12 degrees"),
        (90_000.0, -12_345.6, "-12,346 degrees"),
        (0.002, 0.00123, "+0.00123 degrees"),
    ],
)
def test_amounts_show_a_hundredth_of_the_s_d(scale, number, expected):
    assert Error("degrees", scale).amount(number) == expected
    assert Error("degrees", scale).size(number) == expected[1:]


def test_a_unit_that_nobody_named_is_left_out():
    assert Error(None, 35.0).amount(3.2) == "+3.2"


def interval_of(estimate: float):
    """A contrast of two entrants whose mean difference is this, with an s.d. over rows of 8."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 8, (5, 200))
    return contrast(
        estimate + noise - noise.mean(), np.zeros((5, 200)), units=np.arange(200), overlap=0.0, confidence=0.95,
        measure=DEGREES,
    )  # fmt: skip


def sentence(estimate: float, verdict: str, reason: str | None = None, **change) -> str:
    given = {"strategy": "full", "against": "scratch", "confidence": 0.95, "margin": 1.75, "labels_saved": None}
    measured = interval_of(estimate)
    return contrast_sentence(Ruling(verdict, reason, 0.001), measured, measure=DEGREES, **(given | change))


def test_sentences():
    saved = Saving(ratio=2.1, low=1.5, high=3.0, censored=False, bound="=")
    assert sentence(3.2, "helped", labels_saved=saved) == (
        "transfer helped: full's MAE is 3.2 degrees lower than training from scratch's"
        " (95% CI +2.5..+3.9; from this W), 2.1x fewer labels for the same MAE"
    )
    worse = Saving(ratio=0.4, low=0.3, high=0.6, censored=False, bound="=")
    assert sentence(-3.2, "hurt", labels_saved=worse) == (
        "transfer hurt: full's MAE is 3.2 degrees higher than training from scratch's"
        " (gain -3.2, 95% CI -3.9..-2.5; from this W), an MAE that training from scratch reaches with 0.4x the labels"
    )
    assert sentence(3.2, "helped", against="source").startswith(
        "transfer helped: full's MAE is 3.2 degrees lower than that of the source model as it is (95% CI"
    )
    assert sentence(0.2, "equivalent").startswith("transfer made no difference (equivalent within 1.8 degrees): full's")
    assert equal_compute_sentence("full", interval_of(3.2), confidence=0.95, measure=DEGREES) == (
        "at equal compute: full's MAE is 3.2 degrees lower than training from scratch's"
        " (95% CI +2.5..+3.9; from this W)"
    )
    check = ControlCheck(gain=2.4, low=1.0, high=3.8, p_value=0.003, seeds=5, still_improves=True)
    assert withheld_words(check, DEGREES) == (
        "training from scratch still improves (+2.4 degrees from doubling its steps), so the verdict is withheld:"
        " raise strategies.scratch.steps"
    )


def test_the_control():
    assert check_control(interval_of(3.2), margin=1.75).still_improves
    assert not check_control(interval_of(1.2), margin=1.75).still_improves
    assert curve_warning({25: -12.0, 50: -8.0, 100: -11.0}, margin=1.75, measure=DEGREES) == (
        "training from scratch falls from 8.0 degrees at 50 labels to 11.0 degrees at 100;"
        " it is probably undertrained: raise strategies.scratch.steps"
    )
    assert curve_warning({25: -12.0, 50: -8.0, 100: -5.0}, margin=1.75, measure=DEGREES) is None
    assert curve_warning({25: -2.0, 50: -1.9}, margin=1.75, measure=DEGREES) is None  # nearly without errors


def test_the_resolution():
    planned = planned_resolution(EvaluationSettings(), units=719, seeds=5, measure=DEGREES)
    assert planned.half_width == pytest.approx(
        35 * resolution(units=719, seeds=5, disagreement=planned.disagreement, seed_sd=planned.seed_sd).half_width
    )
    said = resolution_line(planned, measure=DEGREES)
    assert said.startswith("resolution: 719 test rows and 5 seeds give a 95% interval of about +-")
    assert "degrees (expecting differences of errors with an s.d. of " in said


def test_the_measure_of_a_card():
    from headstart.datasets.pack import Card
    from headstart.datasets.values import Value

    plain = Card("x", ("a",), {}, {}, {}, 0, 0, "image", 1, (8, 8), {}, (0.5,), (0.5,))
    assert measure_of(plain) is RATE
    values = Card(
        "x",
        (),
        {},
        {},
        {},
        0,
        0,
        "image",
        1,
        (8, 8),
        {},
        (0.5,),
        (0.5,),
        "value",
        (Value("angle", "degrees", 1.0, 35.0),),
    )
    assert measure_of(values) == DEGREES


# ---- how often it is wrong -------------------------------------------------------------------------------


def false_alarms(rows: int, seeds: int, seed_sd: float, runs: int) -> dict[str, float]:
    """Shares of A/A runs, two entrants of equal error, in which the interval excludes 0, on either side."""
    above = below = 0
    for number in range(runs):
        own, other = simulated_errors(
            np.random.default_rng([number, rows]), [12.0, 12.0], rows=rows, seeds=seeds, seed_sd=seed_sd
        )
        found = contrast(
            -np.abs(own), -np.abs(other), units=np.arange(rows), overlap=0.0, confidence=0.95, measure=DEGREES
        )
        above += found.interval.low > 0
        below += found.interval.high < 0
    return {"helped": above / runs, "hurt": below / runs}


@pytest.mark.parametrize(("rows", "seeds", "seed_sd"), [(300, 5, 0.0), (300, 5, 0.05), (150, 10, 0.1), (300, 1, 0.0)])
def test_a_a_runs_say_helped_about_as_often_as_they_may(rows, seeds, seed_sd):
    """2.5% either way, nominally; 200 runs of a true 3% stay below this in all but 1 of 1,000 cases."""
    found = false_alarms(rows, seeds, seed_sd, 200)
    assert found["helped"] <= stats.binom.ppf(0.999, 200, 0.03) / 200
    assert found["helped"] + found["hurt"] <= stats.binom.ppf(0.999, 200, 0.06) / 200


@pytest.mark.slow
@pytest.mark.parametrize("seed_sd", [0.0, 0.03, 0.1])
@pytest.mark.parametrize("rows", [200, 800])
def test_slow_false_alarms_of_values(rows, seed_sd):
    rates = {seeds: false_alarms(rows, seeds, seed_sd, 2000) for seeds in (1, 3, 5, 10)}
    print(f"\nvalues, {rows} rows, relative seed s.d. {seed_sd}: {rates}")
    for seeds in (5, 10):
        assert sum(rates[seeds].values()) <= stats.binom.ppf(0.999, 2000, 0.06) / 2000
