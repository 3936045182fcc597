"""What the plan knows of a dataset before its pack is made: rows, groups, folds."""

import pandas as pd
import pytest

from flows.plan import expected_resolution, grid_words, size_of
from headstart.evaluation.measures import RATE
from headstart.settings import validate
from tasks.workspace import Workspace


def settings(**data):
    return validate({"data": data, "target": {"data": "pets"}, "built_in": ["mnist5k"]}, where="test")


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(tmp_path)


def write(workspace: Workspace, rows: int, *, group: int = 1, **columns) -> None:
    folder = workspace.data("pets")
    (folder / "img").mkdir(parents=True)
    paths = [f"img/{row:04d}.png" for row in range(rows)]
    for path in paths:
        (folder / path).write_bytes(b"")
    table = pd.DataFrame({"path": paths, "label": ["ab"[row // group % 2] for row in range(rows)]})
    table["group"] = [f"g{row // group}" for row in range(rows)]
    table.assign(**columns).to_csv(folder / "labels.csv", index=False)


def test_groups_are_what_the_resolution_counts(workspace):
    write(workspace, 1000, group=2)
    size = size_of(workspace, "pets", settings())
    assert (size.rows, size.test_rows, size.units, size.unit, size.folds) == (1000, 400, 200, "groups", 0)
    assert expected_resolution(settings(), size, RATE)[1].startswith("resolution: 200 test groups and 5 seeds give")


def test_few_rows_are_in_folds(workspace):
    write(workspace, 60)
    size = size_of(workspace, "pets", settings())
    assert (size.rows, size.test_rows, size.units, size.folds, size.largest_label_budget) == (60, 60, 60, 5, 24)
    assert size.overlap(12) == 0.5
    assert size.overlap(24) == 0.8
    assert 0.08 < expected_resolution(settings(), size, RATE)[0].half_width < 0.12


def test_seeds_share_more_of_a_class_that_has_few_rows(workspace):
    """As the verdict counts it, so that it repeats what the plan expected."""
    write(workspace, 100, label=["rare" if row < 15 else "common" for row in range(100)])
    size = size_of(workspace, "pets", settings())
    assert (size.folds, size.largest_label_budget) == (5, 12)
    assert size.overlap(8) == pytest.approx((8 / 12 + 8 / 68) / 2)
    assert size.overlap(12) == pytest.approx((0.8 + 12 / 68) / 2)


def test_few_groups_of_many_rows_are_in_folds(workspace):
    write(workspace, 1000, group=50)
    size = size_of(workspace, "pets", settings())
    assert (size.units, size.unit, size.folds) == (20, "groups", 5)


def test_own_test_rows_and_zero_keep_the_test_set(workspace):
    write(workspace, 60, split=["test" if row < 10 else "train" for row in range(60)])
    assert size_of(workspace, "pets", settings()).folds == 0
    assert size_of(workspace, "pets", settings()).units == 10


def test_zero_keeps_the_test_set(workspace):
    write(workspace, 60)
    size = size_of(workspace, "pets", settings(smallest_test=0))
    assert (size.test_rows, size.units, size.folds, size.overlap(10)) == (24, 24, 0, 0.0)


def test_a_strategys_cells_in_words_before_there_is_a_pack(workspace):
    assert grid_words(workspace, settings()) == "10 labels a class, 5 seeds"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("digits", (1797, 719, 719, 0)),
        ("reviews_other", (4337, 4337, 177, 5)),  # 71 films are too few for a test set
        ("spoken_other", (800, 800, 40, 5)),
        ("minilm", (0, 0, 0, 0)),
    ],
)
def test_a_built_in_that_is_not_there_yet_is_counted_by_its_groups(workspace, name, known):
    size = size_of(workspace, name, settings())
    assert (size.rows, size.test_rows, size.units, size.folds) == known
