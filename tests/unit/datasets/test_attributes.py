"""Attributes of a source: what a column is taken for, what its cells become, and what is refused."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import part_pictures
import pytest

from headstart.datasets.attributes import describe_columns
from headstart.datasets.ingest import ingest_source, ingest_target
from headstart.datasets.listing import of_unlabelled
from headstart.datasets.pack import Attribute, Pack
from headstart.datasets.read import list_labelled
from headstart.datasets.settings import DataSettings
from headstart.datasets.size import size_of_files
from headstart.datasets.tabular import list_table
from headstart.errors import DataError

NAMES = ("serif", "weight", "case")
SETTINGS = DataSettings(attribute_columns=NAMES, image_size=12)
FRAME = "path,serif,weight,case\nimg/0.png,yes,400,upper\nimg/1.png,NO,,lower\nimg/2.png,,700.5,\nimg/3.png,,,\n"


@pytest.fixture
def write(tmp_path):
    """Writes a table beside forty images; listing opens none of them."""
    (tmp_path / "img").mkdir()
    for number in range(40):
        (tmp_path / "img" / f"{number}.png").touch()

    def run(text: str) -> Path:
        (tmp_path / "labels.csv").write_text(text)
        return tmp_path / "labels.csv"

    return run


def column(cells: list[str]) -> Attribute:
    return describe_columns(Path("t.csv"), pd.DataFrame({"a": cells}), ["a"])[0]


@pytest.mark.parametrize(
    ("cells", "kind", "categories"),
    [
        (["yes", "no", ""], "yes/no", ()),
        (["True", "false", "TRUE"], "yes/no", ()),
        (["1", "0", "0"], "yes/no", ()),
        (["1", "0", "2"], "number", ()),
        (["0"] * 15 + ["1"] * 14 + ["2"], "number", ()),  # and not yes and no with a mistake
        (["1e3", "-2.5", ""], "number", ()),
        (["b", "a", "b", ""], "tag", ("a", "b")),
        (["yes"] * 10 + ["no"] * 9 + ["ys"], "yes/no", ()),  # one of twenty is a mistake, not a third category
        (["yes", "no", "perhaps"], "tag", ("no", "perhaps", "yes")),
    ],
)
def test_a_column_is_what_nearly_all_of_its_cells_are(cells, kind, categories):
    assert (column(cells).kind, column(cells).categories) == (kind, categories)
    assert column(cells).outputs == (len(categories) or 1)


def test_cells_become_numbers_and_empty_ones_are_unknown(write):
    found = list_table(write(FRAME), SETTINGS)
    assert [(own.name, own.kind) for own in found.attributes] == [
        ("serif", "yes/no"),
        ("weight", "number"),
        ("case", "tag"),
    ]
    assert found.kind == "attribute"
    assert np.array_equal(found.codes[0], [1.0, 400.0, 1.0])
    assert np.array_equal(found.codes[1], [0.0, math.nan, 0.0], equal_nan=True)
    assert np.array_equal(found.codes[2], [math.nan, 700.5, math.nan], equal_nan=True)
    assert found.splits == (None, None, None, "unlabelled")  # a row that has none of them
    assert set(found.labels) == set(found.values) == {None}


def test_rows_that_come_on_top_have_no_attribute(write):
    found = list_table(write(FRAME), SETTINGS).joined(of_unlabelled(["unlabelled/9.png"]))
    assert len(found) == len(found.codes) == 5
    assert np.isnan(found.codes[-1]).all()


@pytest.mark.parametrize(
    ("place", "cell", "stated"),
    [
        (0, "ys", "serif is 'ys', which is none of yes, no, true, false, 1, 0 (or empty, where it is not known)"),
        (1, "heavy", "weight is 'heavy', which is no finite number (or empty, where it is not known)"),
        (1, "inf", "weight is 'inf', which is no finite number (or empty, where it is not known)"),
    ],
)
def test_a_bad_cell_sets_its_row_aside_with_the_column_and_what_is_allowed(write, place, cell, stated):
    rows = [["yes" if number % 2 else "no", str(number), "ab"[number % 2]] for number in range(20)]
    rows[4][place] = cell
    text = "\n".join(f"img/{number}.png,{','.join(row)}" for number, row in enumerate(rows))
    found = list_table(write(f"path,{','.join(NAMES)}\n{text}\n"), SETTINGS)
    assert found.rejected == (("labels.csv row 6", f"BAD_ATTRIBUTE: {stated}"),)
    assert len(found) == len(found.codes) == 19


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("path,serf,weight,case\nimg/0.png,yes,1,a\n", r"has no column 'serif' .* did you mean serf\?"),
        ("path,serif,weight,case\nimg/0.png,yes,1,a\nimg/1.png,yes,2,b\n", "column 'serif' is the same, 'yes', in all"),
        ("path,serif,weight,case\nimg/0.png,,1,a\nimg/1.png,,2,b\n", "column 'serif' is empty, and tells nothing"),
    ],
)
def test_a_column_that_cannot_be_learned_from_is_refused(write, text, stated):
    with pytest.raises(DataError, match=stated):
        list_table(write(text), SETTINGS)


def test_texts_that_tell_rows_apart_are_no_tags(write):
    rows = "\n".join(
        f"img/{number}.png,{'no' if number % 2 else 'yes'},{number},name {number}" for number in range(120)
    )
    with pytest.raises(
        DataError, match="column 'case' has 120 different texts, such as 'name 0'; tags are of at most 100"
    ):
        list_table(write(f"path,{','.join(NAMES)}\n{rows}\n"), SETTINGS)


def test_labels_go_before_attributes(write):
    found = list_table(write("path,label,serif\nimg/0.png,a,yes\nimg/1.png,b,no\n"), SETTINGS)
    assert (found.kind, found.labels, found.attributes, found.codes) == ("class", ("a", "b"), (), ())


def test_without_the_setting_the_columns_are_said_to_be_possible(write):
    with pytest.raises(DataError, match=r"neither a column 'label' .* of a source .* --data\.attribute_columns A,B"):
        list_table(write(FRAME), DataSettings())


def test_no_attribute_at_all_is_nothing_to_learn_from(write):
    table = write("path,serif,weight,case\nimg/0.png,yes,1,a\nimg/9.png,no,2,b\n")
    for name in ("0", "9"):
        (table.parent / "img" / f"{name}.png").unlink()
    table.write_text(table.read_text() + "img/2.png,,,\n")
    with pytest.raises(DataError, match="no row has a label; fill its column"):
        list_labelled(table, SETTINGS)


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Path:
    return part_pictures.draw_source(tmp_path_factory.mktemp("data") / "parts", rows=60, seed=0)


def ingest(parts: Path, pack: Path, decoder, **settings) -> Pack:
    data = DataSettings(image_size=12, attribute_columns=part_pictures.COLUMNS).model_copy(update=settings)
    ingest_source(parts, pack, settings=data, excluded=(), workers=decoder, progress=lambda *_: None)
    return Pack(pack)


def test_a_pack_has_them_in_the_order_of_its_rows(parts, tmp_path, decoder):
    pack = ingest(parts, tmp_path / "parts", decoder)
    card = pack.card
    assert (card.kind, card.classes, card.splits) == ("attribute", (), {"pool": 60})
    assert [own.kind for own in card.attributes] == ["yes/no", "yes/no", "yes/no", "number", "tag"]
    assert card.attributes[-1].categories == ("bright", "dim")
    table = pd.read_csv(parts / "labels.csv", keep_default_na=False).set_index("path").loc[pack.examples["path"]]
    codes = pack.attributes(pack.rows("pool"))
    ink = pd.to_numeric(table["ink"]).to_numpy()
    assert np.array_equal(codes[:, 3], ink, equal_nan=True)
    wanted = table["top"].map({"yes": 1.0, "no": 0.0, "": math.nan}).to_numpy()
    assert np.array_equal(codes[:, 0], wanted, equal_nan=True)
    assert np.isnan(codes).any()


def test_a_target_needs_classes_or_values(parts, tmp_path, decoder):
    settings = DataSettings(image_size=12, attribute_columns=part_pictures.COLUMNS)
    with pytest.raises(
        DataError, match=r"has attributes \(top, left, dot, ink, shade\) and neither classes nor values"
    ):
        ingest_target(parts, tmp_path / "p", settings=settings, seed=0, workers=decoder, progress=lambda *_: None)


def test_too_few_rows_with_an_attribute_are_refused(parts, tmp_path, decoder):
    with pytest.raises(DataError, match="has 60 readable images with an attribute, at least 61 are needed"):
        ingest(parts, tmp_path / "p", decoder, min_rows_of_values=61)


def test_a_plan_counts_them(parts):
    data = DataSettings(attribute_columns=part_pictures.COLUMNS)
    assert size_of_files(list_labelled(parts, data), settings=data, seed=0).rows == 60
