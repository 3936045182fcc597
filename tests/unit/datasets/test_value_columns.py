"""Tables with several values a row: which rows are read, which set aside, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headstart.datasets.read import list_labelled
from headstart.datasets.settings import DataSettings, TargetSettings
from headstart.datasets.tabular import list_table
from headstart.datasets.units import joint_bins
from headstart.datasets.values import Value, with_units
from headstart.errors import DataError, SettingsError

POSE = DataSettings(value_columns=("x", "y"))


@pytest.fixture
def table(tmp_path):
    def write(text: str, rows: int = 6):
        for number in range(rows):
            (tmp_path / f"{number}.png").touch()
        path = tmp_path / "t.csv"
        path.write_text(text)
        return path

    return write


def test_each_row_has_all_of_them_or_none(table):
    path = table('path,y,x\n0.png,2,1.5\n1.png,4,nan\n2.png,,3\n3.png,,\n4.png,1e400,1\n5.png,"1,5",1\n')
    found = list_table(path, POSE)
    assert (found.names, found.values) == (("x", "y"), ((1.5, 2.0), None))
    assert found.splits == (None, "unlabelled")
    assert found.rejected == (
        ("t.csv row 3", "BAD_VALUE: x is 'nan', which is not a finite number"),
        ("t.csv row 4", "BAD_VALUE: y is empty; give each of x, y, or none of a row without a label"),
        ("t.csv row 6", "BAD_VALUE: y is '1e400', which is not a finite number"),
        ("t.csv row 7", "BAD_VALUE: y is '1,5', which is not a finite number; for a decimal comma write a point"),
    )


@pytest.mark.parametrize(
    ("header", "columns", "said"),
    [
        (
            "path,x,z",
            ("x", "y"),
            r"no column 'y', which data.value_columns names beside 'x' \(its columns: path, x, z\)",
        ),
        ("path,x,label", ("x", "y"), "has labels .* and values .*'x'"),
        ("path,x,seed", ("x", "seed"), "the column 'seed', which it has already; rename the column"),
        ("path,x,x_low", ("x", "x_low"), "the column 'x_low'"),
        ("path,x,=y", ("x", "=y"), "cannot be called '=y'"),
    ],
)
def test_columns_that_cannot_be_read(table, header, columns, said):
    with pytest.raises(DataError, match=said):
        list_table(table(f"{header}\n0.png,1,2\n"), DataSettings(value_columns=columns))


def test_a_value_that_never_varies_is_refused(table):
    with pytest.raises(DataError, match=r"y is 2 in every row, so there is nothing to predict; take it out of data"):
        list_labelled(table("path,x,y\n0.png,1,2\n1.png,3,2\n"), POSE)


def test_settings_take_a_word_or_a_list():
    assert DataSettings.model_validate({"value_columns": "age"}).value_columns == ("age",)
    assert DataSettings.model_validate({"value_columns": ""}).value_columns == ()
    assert TargetSettings.model_validate({"unit": "degrees"}).unit == ("degrees",)
    for names in (["x", "y", "x"], ["x", ""]):
        with pytest.raises(ValidationError, match="twice|without a name"):
            DataSettings.model_validate({"value_columns": names})


def test_one_unit_is_for_all_and_otherwise_each_has_one():
    assert with_units(["x", "y"], ["pixels"]) == (Value("x", "pixels"), Value("y", "pixels"))
    assert with_units(["x", "y"], ["mm", "cm"]) == (Value("x", "mm"), Value("y", "cm"))
    assert with_units(["x", "y"], []) == (Value("x"), Value("y"))
    with pytest.raises(
        SettingsError, match=r"2 units \(m, s\) are named for the 3 values x, y, z; give one unit for all"
    ):
        with_units(["x", "y", "z"], ["m", "s"])


@given(st.integers(0, 400), st.integers(2, 5), st.integers(0, 2**16))
def test_joint_bins_are_even_and_follow_from_the_values_alone(rows, values, seed):
    draw = np.random.default_rng(seed)
    table = draw.normal(size=(rows, values)) * draw.uniform(0.1, 100, values)
    names = np.array(joint_bins(table))
    counts = np.unique(names, return_counts=True)[1]
    assert len(counts) <= 8
    assert not rows or counts.min() >= min(10, rows)
    order = draw.permutation(rows)
    assert (np.array(joint_bins(table[order])) == names[order]).all() if rows else len(names) == 0


def test_joint_bins_part_each_value():
    table = np.random.default_rng(0).uniform(size=(800, 3))
    names = np.array(joint_bins(table))
    assert len(set(names)) == 8
    for column in table.T:
        means = sorted(column[names == name].mean() for name in set(names))
        assert means[3] < 0.35
        assert means[4] > 0.65
