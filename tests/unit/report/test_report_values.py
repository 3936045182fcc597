"""The page of a regression: errors in their unit, and nothing that only classes have."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headstart.datasets.values import Value
from headstart.evaluation.measures import RATE, Error, measure_of_values
from headstart.report.amounts import amounts_of
from headstart.report.inputs import ReportInputs
from headstart.report.maps import make_value_map
from headstart.report.page import render
from headstart.report.pictures import won_and_lost
from headstart.report.summary import flips

DEGREES = Error("degrees", 35.0)
POINTS, UNITS = amounts_of(RATE, "accuracy"), amounts_of(DEGREES, "mae")


@pytest.fixture(scope="module")
def values(inputs: ReportInputs) -> ReportInputs:
    """The page's inputs of classes with values in their place: scratch is off by 12 degrees, full by 6."""
    rng = np.random.default_rng(0)
    ids = list(inputs.images)
    truth = dict(zip(ids, rng.uniform(-60, 60, len(ids)), strict=True))
    table = inputs.predictions.assign(truth=inputs.predictions["id"].map(truth))
    off = np.where(table["strategy"] == "scratch", 12.0, 6.0) * rng.normal(size=len(table))
    table = table.assign(prediction=table["truth"] + off)
    errors = table.assign(value=off.__abs__()).groupby(["strategy", "label_budget", "seed"], sort=False)["value"]
    means = errors.mean().reset_index().assign(family="fully supervised", split="test", seconds=1.0)
    comparison = pd.concat(
        [means.assign(metric="mae"), means.assign(metric="rmse"), means.assign(metric="r2", value=0.8)]
    )
    verdict = dict(inputs.verdict) | {
        "metric": "mae",
        "unit": "degrees",
        "margin": 1.75,
        "resolution": 1.0,
        "sentence": "transfer helped: full's MAE is 4.6 degrees lower than training from scratch's (95% CI +3.9..+5.3)",
        "control": {"gain": -0.8, "low": -1.2, "high": -0.3, "p_value": 0.9, "still_improves": False},
    }
    for name in ("against_scratch", "against_source", "equal_compute"):
        gap = {"difference": -5.3, "low": -6.3, "high": -4.4, "strategy": 8.0, "opponent": 13.3}
        verdict[name] = dict(verdict[name]) | {"difference": 4.6, "low": 3.9, "high": 5.3, "gap": gap}
    return replace(
        inputs,
        verdict=verdict,
        comparison=comparison,
        differences=pd.DataFrame([("full", 4.6, 3.9, 5.3)], columns=["strategy", "difference", "low", "high"]),
        predictions=table,
        convergence=inputs.convergence.rename(columns={"accuracy": "mae"}),
        classes=(),
        target_labels=[truth[row] for row in ids],
        target_card=dict(inputs.target_card) | {"classes": {}, "values": "0.4 ± 35 degrees"},
        measure=DEGREES,
    )


@pytest.fixture(scope="module")
def page(values: ReportInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(values, tmp_path_factory.mktemp("page"))


def test_a_unit_is_text_and_no_tag(values: ReportInputs, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    page = render(replace(values, measure=replace(values.measure, unit=evil)), tmp_path)
    for file in (page, *(tmp_path / "figures").glob("*.svg")):
        text = file.read_text(encoding="utf-8")
        assert "<img src=x" not in text
    assert "&lt;img src=x" in page.read_text(encoding="utf-8")


def test_the_page_speaks_of_the_unit(page: Path) -> None:
    text = page.read_text()
    for words in (
        "full&#39;s MAE is 4.6 degrees lower",
        "+4.6 degrees",
        "±1.0 degrees",
        "−0.8 degrees",
        "−5.3 degrees",
        "Errors in degrees; R2 is a share",
        "Predicted against true values",
        "is nearer to the value than",
        "0.4 ± 35 degrees",
        "lower MAE, degrees",
        "10 labels, 5 seeds, test MAE",
    ):
        assert words in text, words
    for words in ("labels a class", "points of", "Largest errors", "Rates in percent"):
        assert words not in text, words


def test_its_figures_are_those_of_values(page: Path) -> None:
    names = {path.name for path in (page.parent / "figures").glob("*.svg")}
    assert {"scatter-source.svg", "scatter-scratch.svg", "scatter-full.svg", "map-features.svg"} <= names
    assert not [name for name in names if name.startswith("confusion")]


def test_the_same_inputs_give_the_same_bytes(values: ReportInputs, page: Path, tmp_path: Path) -> None:
    assert render(values, tmp_path).read_bytes() == page.read_bytes()


def test_a_row_is_won_by_the_smaller_error(values: ReportInputs) -> None:
    table = flips(values)
    nearer = (table["chosen"] - table["truth"]).abs() < (table["scratch"] - table["truth"]).abs()
    assert table["won"].tolist() == nearer.tolist()
    won, lost = won_and_lost(values)
    assert won.total > lost.total
    assert won.shots[0].caption[0].startswith("true: ")
    assert won.shots[0].caption[0].endswith(" degrees")


def test_a_map_of_values_says_how_far_off_the_neighbours_are() -> None:
    angles = np.linspace(0, 1, 60)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = make_value_map(vectors, list(angles * 100))
    assert found is not None
    assert found.error < 3  # neighbours on an arc are neighbours in value
    assert make_value_map(vectors[:2], [0.0, 1.0]) is None


def test_amounts() -> None:
    assert [POINTS.amount(0.031), UNITS.amount(3.1)] == ["+3.1 points", "+3.1 degrees"]
    assert [POINTS.difference(-0.031), UNITS.difference(-3.1)] == ["−3.1", "−3.1"]
    assert [POINTS.interval(-0.01, 0.02), UNITS.interval(-1, 2)] == ["−1.0 to +2.0", "−1.0 to +2.0"]
    assert [POINTS.score(0.945), UNITS.score(9.45)] == ["94.5%", "9.4 degrees"]
    assert [POINTS.mean_sd(0.914, 0.017), UNITS.mean_sd(9.1, 0.7)] == ["91.4 ± 1.7", "9.1 ± 0.7"]
    assert [POINTS.tick(0.9), UNITS.tick(-1.5)] == ["90%", "−1.5"]
    assert [POINTS.difference_tick(0.02), UNITS.difference_tick(2.0)] == ["+2", "+2"]
    assert UNITS.value(-12.34) == "−12.3 degrees"
    for amounts in (POINTS, UNITS):
        assert amounts.amount(None) == amounts.difference(None) == amounts.interval(None, 1) == "–"


@pytest.fixture(scope="module")
def several(values: ReportInputs) -> ReportInputs:
    """The same with a second value beside the angle, and its table of figures."""
    measure = measure_of_values([Value("x", "pixels", 0.0, 2.0), Value("angle", "degrees", 0.0, 35.0)])
    table = values.predictions
    parts = {"x": 1 / 10, "angle": 1.0}
    columns = {f"{name}_truth": table["truth"] * each for name, each in parts.items()}
    columns |= {name: table["prediction"] * each for name, each in parts.items()}
    table = table.assign(**columns).drop(columns=["truth", "prediction"])
    own = values.comparison.query("metric == 'mae'")
    figures = [
        own.assign(metric=f"{figure}.{name}", value=own["value"] * each)
        for figure in ("mae", "rmse")
        for name, each in parts.items()
    ]
    shares = [own.assign(metric=f"{figure}.{name}", value=0.9) for figure in ("r2", "coverage") for name in parts]
    return replace(
        values,
        verdict=dict(values.verdict) | {"metric": "scaled_mae", "unit": "s.d."},
        comparison=pd.concat([own.assign(metric="scaled_mae", value=own["value"] / 35), *figures, *shares]),
        convergence=values.convergence.rename(columns={"mae": "scaled_mae"}),
        predictions=table,
        target_labels=[(label / 10, label) for label in values.target_labels],
        measure=measure,
    )


def test_several_values_have_a_table_and_panels_each(several: ReportInputs, tmp_path: Path) -> None:
    text = render(several, tmp_path).read_text()
    names = {path.name for path in (tmp_path / "figures").glob("*.svg")}
    assert {"scatter-full-x.svg", "scatter-full-angle.svg", "map-features-x.svg", "map-raw-angle.svg"} <= names
    for words in (
        "Each value in its own unit, at 10 labels",
        "Mean errors over values, in standard deviations of each",
        "test scaled MAE",
        "Features under W: angle",
        "90.0%",
        "x: true ",
    ):
        assert words in text, words
    assert '<th scope="col" class="number">test mae.x' not in text


def test_a_row_of_several_values_is_won_by_the_smaller_scaled_error(several: ReportInputs) -> None:
    table = flips(several)
    off = {
        who: (table[f"{who}.x"] - table["truth.x"]).abs() / 2
        + (table[f"{who}.angle"] - table["truth.angle"]).abs() / 35
        for who in ("scratch", "chosen")
    }
    assert table["won"].tolist() == (off["chosen"] < off["scratch"]).tolist()
