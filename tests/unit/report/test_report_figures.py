"""Figures: valid SVG with its words as text, the same bytes each time, in the page's colours inside the page."""

import dataclasses
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest

from headstart.report.canvas import COLOURS, Drawing, class_look, draw, looks
from headstart.report.classes import confusion_figure, map_figure
from headstart.report.curves import convergence_figure, efficiency_figure
from headstart.report.inputs import ReportInputs
from headstart.report.intervals import contrast_figure, difference_figure
from headstart.report.maps import Map

FIGURES = [contrast_figure, difference_figure, efficiency_figure, convergence_figure]


def texts(svg: str) -> list[str]:
    return [str(node.text) for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def tips(svg: str) -> list[str]:
    return [str(node.text) for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}title")]


def drawn(figure: Callable[[ReportInputs], Drawing | None], inputs: ReportInputs) -> Drawing:
    drawing = figure(inputs)
    assert drawing is not None
    return drawing


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_is_valid_in_both_widths_and_the_same_each_time(figure: Any, inputs: ReportInputs) -> None:
    first, second = drawn(figure, inputs), drawn(figure, inputs)
    assert first == second
    assert first.narrow is not None
    for svg in (first.wide, first.narrow):
        ET.fromstring(svg)
        assert "<script" not in svg
        assert "<metadata" not in svg


@pytest.mark.parametrize("figure", FIGURES)
def test_ids_differ_between_the_two_widths(figure: Any, inputs: ReportInputs) -> None:
    drawing = drawn(figure, inputs)
    wide, narrow = (set(re.findall(r' id="([^"]*)"', svg)) for svg in (drawing.wide, drawing.narrow or ""))
    assert wide
    assert not wide & narrow


@pytest.mark.parametrize("figure", FIGURES)
def test_inside_the_page_every_colour_is_a_variable(figure: Any, inputs: ReportInputs) -> None:
    for _, svg in drawn(figure, inputs).inline:
        assert "var(--ink)" in svg or "var(--muted)" in svg
        assert not re.search(r"(fill|stroke): #", svg)
        assert "http" not in svg
        assert "<style" not in svg  # it would hold for the whole page


def test_contrasts_are_said_in_the_figure_and_its_alternative(inputs: ReportInputs) -> None:
    drawing = drawn(contrast_figure, inputs)
    assert "against scratch: helped" in texts(drawing.wide)
    assert "+31.0 (+27.0 to +35.0)" in texts(drawing.wide)
    assert "against scratch: helped +4.1 (+1.2 to +7.0)" in tips(drawing.wide)
    assert "against scratch: helped +4.1 (+1.2 to +7.0)" in drawing.alt
    assert "+31.0" in texts(drawing.narrow or "")  # no room for the interval there


def test_the_forest_has_the_best_on_top_and_no_scratch(inputs: ReportInputs) -> None:
    table = pd.concat(
        [inputs.differences, pd.DataFrame([{"strategy": "scratch", "difference": 0.0, "low": 0.0, "high": 0.0}])]
    )
    words = texts(drawn(difference_figure, dataclasses.replace(inputs, differences=table)).wide)
    names = [word for word in words if word in {"full", "frozen_blocks", "linear_probe", "source", "scratch"}]
    assert names == ["full", "frozen_blocks", "linear_probe", "source"]


def test_a_difference_without_interval_is_a_point(inputs: ReportInputs) -> None:
    table = inputs.differences.assign(low=np.nan, high=np.nan)
    assert "+4.1" in texts(drawn(difference_figure, dataclasses.replace(inputs, differences=table)).wide)


def test_the_curve_says_what_transfer_saves(inputs: ReportInputs) -> None:
    drawing = drawn(efficiency_figure, inputs)
    assert "scratch needs 1.9× the labels" in texts(drawing.wide)
    assert "1.9× the labels" in texts(drawing.narrow or "")
    assert {"5", "10", "20", "labels a class"} <= set(texts(drawing.wide))
    assert any(tip.startswith("full: ") and "% at 10" in tip for tip in tips(drawing.wide))


def test_a_strategy_without_labels_is_a_line(inputs: ReportInputs) -> None:
    table = inputs.comparison
    budget = table["label_budget"].where(table["strategy"] != "source", 0)
    drawing = drawn(efficiency_figure, dataclasses.replace(inputs, comparison=table.assign(label_budget=budget)))
    assert any(tip.startswith("source: ") and tip.endswith("at 0") for tip in tips(drawing.wide))


def test_convergence_shows_the_control_at_all_its_lengths(inputs: ReportInputs) -> None:
    drawing = drawn(convergence_figure, inputs)
    shown = {"scratch", "scratch, half steps", "scratch, equal compute", "full"}
    assert shown <= set(texts(drawing.wide))
    assert "scratch ends at" in drawing.alt
    assert "after 60 TFLOP" in drawing.alt


@pytest.mark.parametrize("figure", FIGURES)
def test_nothing_to_draw_is_no_figure(figure: Any, inputs: ReportInputs) -> None:
    empty = {
        name: getattr(inputs, name).iloc[:0] for name in ("comparison", "differences", "predictions", "convergence")
    }
    assert figure(dataclasses.replace(inputs, verdict={}, **empty)) is None


def test_small_confusion_matrices_are_written_out_large_ones_not() -> None:
    small = confusion_figure("scratch", np.array([[0.9, 0.1], [0.0, 1.0]]), ["cat", "a very long class name"])
    assert {"90", "10", "100", "cat", "a very long c…"} <= set(texts(small.wide))
    assert "0" not in texts(small.wide)  # an empty cell stays empty
    large = confusion_figure("scratch", np.eye(21), [f"class {place}" for place in range(21)])
    assert texts(large.wide) == ["predicted", "true"]
    assert "21 classes" in large.alt


def test_a_map_names_its_classes() -> None:
    points = np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 5.0], [5.1, 5.0]])
    drawing = map_figure("map", "features", Map(points, (0.9, 0.1), 0.75, ["a", "a", "b", "b"]), ["a", "b"])
    assert {"a", "b", "first component (90% of the variance)"} <= set(texts(drawing.wide))
    assert tips(drawing.wide) == ["a", "b"]
    assert "nearest-neighbour accuracy 75.0%" in drawing.alt


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "$x_1$", "猫", "\"a\" & 'b'", "a\nb", "#0072b2", "url(#x)"]
)
def test_any_name_of_a_class_is_only_text(name: str) -> None:
    points = np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 5.0]])
    drawing = map_figure("map", "features", Map(points, (0.9, 0.1), 0.75, [name] * 3), [name])
    assert tips(drawing.wide) == [name]
    assert "<script" not in drawing.inline[0][1]
    confusion_figure(name, np.eye(1), [name])


def test_looks_are_fixed_for_the_three_that_matter_and_differ_for_all() -> None:
    names = ["source", "scratch", "full", *(f"other{place}" for place in range(8))]
    given = looks(names, "full")
    assert given["scratch"].colour == COLOURS["vermillion"]
    assert given["full"].colour == COLOURS["blue"]
    assert len({(look.colour, look.marker) for look in given.values()}) == len(names)
    assert len({class_look(place) for place in range(80)}) == 80


def _paint(figure: Any) -> None:
    figure.subplots().plot([0, 1], [0, 1])


def test_the_users_matplotlib_settings_neither_change_nor_matter() -> None:
    plain = draw("x", "", _paint, size=(200, 150))
    with matplotlib.rc_context({"figure.facecolor": "red", "font.size": 30, "svg.fonttype": "path"}):
        before = dict(matplotlib.rcParams)
        assert draw("x", "", _paint, size=(200, 150)) == plain
        assert dict(matplotlib.rcParams) == before


def test_threads_may_draw_at_once() -> None:
    alone = [draw(f"x{place}", "", _paint, size=(200, 150)) for place in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda place: draw(f"x{place}", "", _paint, size=(200, 150)), range(4)))
    assert together == alone


def test_importing_the_report_is_cheap_and_drawing_needs_no_pyplot() -> None:
    code = """
import sys
import headstart.report.page
heavy = {"matplotlib", "sklearn", "torch", "mlflow", "prefect", "dvc"} & set(sys.modules)
assert not heavy, heavy
from headstart.report.canvas import draw
draw("x", "", lambda figure: figure.subplots().plot([0, 1], [0, 1]), size=(200, 150))
heavy = {"matplotlib.pyplot", "torch", "mlflow", "prefect", "dvc"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
