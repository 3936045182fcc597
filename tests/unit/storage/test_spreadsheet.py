"""What a spreadsheet would run has an apostrophe before it; all else is as it was."""

import pandas as pd
import pytest

from headstart.storage.spreadsheet import without_formulas


@pytest.mark.parametrize(
    "text", ["=1+1", '=HYPERLINK("a")', "+cmd|' /C calc'!A0", "-cat", "@SUM(1)", "\t=1", "\r=1", "-"]
)
def test_a_formula_becomes_text(text):
    table = without_formulas(pd.DataFrame({"path": [text], "x": [1.5]}))
    assert table.to_dict("list") == {"path": [f"'{text}"], "x": [1.5]}


@pytest.mark.parametrize("text", ["cat.png", "-1", "+2.5", "-1e-3", "", "a=b", "'=1", "-inf"])
def test_words_and_numbers_stay(text):
    assert without_formulas(pd.DataFrame({"path": [text]}))["path"].tolist() == [text]


def test_a_table_of_numbers_or_of_nothing_stays():
    numbers = pd.DataFrame({"a": [-1, 2], "b": [-0.5, float("nan")]})
    pd.testing.assert_frame_equal(without_formulas(numbers), numbers)
    empty = pd.DataFrame({"path": pd.Series([], dtype=object)})
    pd.testing.assert_frame_equal(without_formulas(empty), empty)
    gaps = pd.DataFrame({"path": [None, "=a"]}, dtype=object)
    assert without_formulas(gaps)["path"].fillna("nothing").tolist() == ["nothing", "'=a"]
