"""The report's numbers on tables small enough to count by hand."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headstart.report import summary
from headstart.report.inputs import ReportInputs


def predictions(*rows: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["id", "strategy", "label_budget", "seed", "truth", "prediction"])


def with_verdict(inputs: ReportInputs, **fields: Any) -> ReportInputs:
    return dataclasses.replace(inputs, verdict={**inputs.verdict, **fields})


def test_confusion_is_a_share_of_each_true_class() -> None:
    table = predictions(
        ("a", "full", 10, 0, "cat", "cat"),
        ("a", "full", 10, 1, "cat", "dog"),
        ("b", "full", 10, 0, "dog", "dog"),
    )
    matrix = summary.confusion(table, ["cat", "dog", "emu"])
    assert matrix.tolist() == [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    assert summary.worst_confusions(matrix, ["cat", "dog", "emu"]) == ["cat taken for dog (50%)"]
    assert summary.worst_confusions(np.eye(3), ["cat", "dog", "emu"]) == []


def test_flips_pair_the_same_row_under_the_same_seed(inputs: ReportInputs) -> None:
    table = predictions(
        ("a", "scratch", 10, 0, "1", "7"),
        ("a", "full", 10, 0, "1", "1"),  # won
        ("b", "scratch", 10, 0, "2", "2"),
        ("b", "full", 10, 0, "2", "3"),  # lost
        ("c", "scratch", 10, 0, "3", "4"),
        ("c", "full", 10, 0, "3", "5"),  # both wrong
        ("a", "full", 10, 1, "1", "1"),  # no partner
        ("a", "scratch", 5, 1, "1", "7"),  # another budget
    )
    flips = summary.flips(dataclasses.replace(inputs, predictions=table))
    assert flips[["id", "won", "lost"]].values.tolist() == [
        ["a", True, False],
        ["b", False, True],
        ["c", False, False],
    ]


def test_classes_may_come_as_indices(inputs: ReportInputs) -> None:
    table = predictions(("a", "full", 10, 0, 1, 0))
    named = dataclasses.replace(inputs, predictions=table, classes=["cat", "dog"])
    assert summary.predicted(named, "full")[["truth", "prediction"]].values.tolist() == [["dog", "cat"]]


def test_a_strategy_without_the_headline_budget_gives_what_it_has(inputs: ReportInputs) -> None:
    table = predictions(("a", "source", 0, 0, "1", "1"))
    assert len(summary.predicted(dataclasses.replace(inputs, predictions=table), "source")) == 1


def test_the_order_is_source_scratch_chosen_rest(inputs: ReportInputs) -> None:
    assert summary.order(inputs) == ["source", "scratch", "full", "linear_probe", "frozen_blocks"]


def test_the_comparison_marks_one_row_as_named_beforehand(inputs: ReportInputs) -> None:
    rows = summary.comparison_rows(inputs)
    marked = [(row["strategy"], row["budget"]) for row in rows if row["role"] == "pre-named contrast"]
    assert marked == [("full", 10)]
    assert {row["role"] for row in rows if row["strategy"] == "scratch"} == {"control"}
    assert len(rows) == 9  # 3 strategies at one budget, 2 at three


def test_the_comparison_is_mean_and_sd_over_seeds(inputs: ReportInputs) -> None:
    columns = ["strategy", "family", "label_budget", "seed", "split", "metric", "value", "seconds"]
    rows = [
        ("full", "supervised", 10, 0, "test", "accuracy", 0.90, 1.0),
        ("full", "supervised", 10, 1, "test", "accuracy", 0.94, 1.0),
        ("full", "supervised", 10, 0, "test", "log_loss", 0.4, 1.0),
        ("full", "supervised", 10, 0, "train", "accuracy", 1.0, 1.0),
        ("full", "supervised", 10, 0, "validation", "accuracy", 0.91, 1.0),
        ("full:half_steps", "supervised", 10, 0, "test", "accuracy", 0.8, 1.0),
    ]
    given = dataclasses.replace(inputs, comparison=pd.DataFrame(rows, columns=columns))
    assert summary.other_columns(given) == [("test", "log_loss"), ("validation", "accuracy"), ("train", "accuracy")]
    whole, half = summary.comparison_rows(given)
    assert (whole["test"], whole["seeds"], whole["others"]) == ("92.0 ± 2.8", 2, ["0.40", "91.0", "100.0"])
    assert (half["strategy"], half["test"], half["others"]) == ("full, half steps", "80.0", ["–", "–", "–"])


def test_costs_count_pretraining_for_who_uses_it(inputs: ReportInputs) -> None:
    rows = {row["strategy"]: row for row in summary.cost_rows(inputs)}
    assert list(rows)[:4] == ["source", "scratch", "scratch, equal compute", "scratch, half steps"]
    assert rows["full"]["total"] == 2.0e13 + 1.8e14
    assert rows["scratch"]["total"] == 6.0e13
    assert rows["full"]["total_bar"] == 100.0
    assert rows["scratch"]["total_bar"] == 30.0
    assert rows["scratch"]["labels"] == 100.0


def test_costs_say_how_fast_what_is_delivered_predicts(inputs: ReportInputs) -> None:
    rows = {row["strategy"]: row for row in summary.cost_rows(inputs)}
    for name in ("source", "scratch", "full"):
        assert (rows[name]["rows_per_second"], rows[name]["latency_ms_p99"]) == (12345.6, 12.34)
    assert rows["scratch, half steps"]["rows_per_second"] is None
    assert not {pair for pair in summary.other_columns(inputs) if pair[0] == "prediction"}  # it is no score


def test_unknown_compute_is_unknown_in_all(inputs: ReportInputs) -> None:
    cells = inputs.cells.assign(compute=np.nan)
    rows = summary.cost_rows(dataclasses.replace(inputs, cells=cells))
    assert {row["total"] for row in rows} == {None}


def test_contrasts_in_their_order_with_holms_p(inputs: ReportInputs) -> None:
    first, second, third = summary.contrasts(inputs)
    assert (first.against, first.verdict, first.p_value) == ("scratch", "helped", 0.0123)
    assert (second.against, third.against) == ("the source as it is", "scratch, equal compute")


def test_a_withheld_verdict_is_not_called_by_another_name(inputs: ReportInputs) -> None:
    inner = {**inputs.verdict["against_scratch"], "withheld": "the control still improves"}
    given = with_verdict(inputs, against_scratch=inner)
    assert summary.contrasts(given)[0].verdict == "withheld"
    assert given.withheld == "the control still improves"


def test_tiles_say_the_verdicts_numbers(inputs: ReportInputs) -> None:
    tiles = {tile.name: (tile.value, tile.note.replace("\N{NO-BREAK SPACE}", " ")) for tile in summary.tiles(inputs)}
    assert tiles["against scratch"] == ("+4.1 points", "+1.2 to +7.0 (95%), p = .012")
    assert tiles["labels saved"] == ("1.9×", "1.3× to 2.8×; for scratch to score the same")
    assert tiles["compute saved, given W"] == ("≥ 3.2×", "at least 2.1×; to reach scratch's final score")
    assert tiles["test rows won / lost"] == ("14.2 / 4.8", "over scratch, a seed, of 200 rows")
    assert tiles["train-test gap, over scratch's"][0] == "−2.8 points"


@pytest.mark.parametrize("field", ["labels_saved", "compute_saved", "gap", "wins_per_seed", "difference"])
def test_a_missing_number_only_loses_its_tile(inputs: ReportInputs, field: str) -> None:
    entry = {**inputs.verdict["against_scratch"], field: None}
    before, after = summary.tiles(inputs), summary.tiles(with_verdict(inputs, against_scratch=entry))
    assert 0 < len(after) <= len(before)
    assert all(tile.value != "–" for tile in after)


@pytest.mark.parametrize(("seeds", "expected"), [(5, 5), ([0, 1, 2], 3), (None, 5)])
def test_seeds_may_be_a_number_or_a_list(inputs: ReportInputs, seeds: Any, expected: int) -> None:
    assert with_verdict(inputs, seeds=seeds).seeds == expected


def test_labels_of_variants() -> None:
    assert summary.label("scratch:half_steps") == "scratch, half steps"
    assert summary.label("scratch", "equal_compute") == "scratch, equal compute"
    assert summary.label("linear_probe") == "linear_probe"


def test_a_curve_with_one_seed_has_no_spread(make_inputs: Callable[..., ReportInputs]) -> None:
    curve = summary.curve(summary.test_scores(make_inputs(seeds=1, rows=30)), "full")
    assert curve["label_budget"].tolist() == [5, 10, 20]
    assert curve["std"].isna().all()
