"""The glyphs of matplotlib's fonts: what is said of them is so, and no font is on both sides."""

import numpy as np
import pandas as pd
import pytest

from headstart.datasets.builtin import materialise
from headstart.datasets.glyphs import ATTRIBUTES, SOURCE, TARGET, draw, faces, holes_and_parts, signatures, small_letter
from headstart.datasets.read import list_labelled
from headstart.datasets.settings import DataSettings
from headstart.datasets.signatures import read_signatures
from headstart.datasets.table import DATASETS


@pytest.fixture(scope="module")
def described():
    return DATASETS.get("glyph_attributes").load()()


@pytest.fixture(scope="module")
def letters():
    return DATASETS.get("glyphs").load()()


def face(name: str):
    return next(path for path in faces((*SOURCE, *TARGET)) if path.stem == name)


def test_no_font_is_on_both_sides():
    assert [len(faces(SOURCE)), len(faces(TARGET))] == [12, 10]
    assert not set(faces(SOURCE)) & set(faces(TARGET))


def test_the_source_has_the_rows_that_the_table_states_and_what_each_looks_like(described):
    images, table = described
    assert images.shape == (DATASETS.get("glyph_attributes").rows, 28, 28)
    assert tuple(table.columns) == ATTRIBUTES == DATASETS.get("glyph_attributes").attributes
    assert len(table) == len(images)
    assert table.notna().all().all()
    assert {name: int((table[name] == "yes").sum()) for name in ("serif", "bold", "slanted", "monospace")} == {
        "serif": 4 * 406, "bold": 6 * 406, "slanted": 6 * 406, "monospace": 4 * 406,
    }  # fmt: skip
    assert table.groupby("monospace")["width"].nunique()["yes"] == 1
    assert set(table["kind"]) == {"capital", "small letter", "digit", "sign"}
    widths = table.groupby("kind")["width"].median()
    assert widths["capital"] > widths["small letter"] > widths["sign"] - 0.1
    ink = np.array([image.sum() for image in images.astype(float)])
    assert ink[table["bold"] == "yes"].mean() > 1.2 * ink[table["bold"] == "no"].mean()


@pytest.mark.parametrize(
    ("character", "found"),
    [
        ("o", (1, 1)),
        ("i", (0, 2)),
        ("B", (2, 1)),
        ("8", (2, 1)),
        ("%", (2, 3)),
        ("ä", (1, 3)),
        ("l", (0, 1)),
        ("O", (1, 1)),
    ],
)
def test_holes_and_parts_are_counted_in_the_drawing(character, found):
    assert holes_and_parts(draw(face("DejaVuSans"), character)) == found


def test_the_target_has_the_small_letters_of_the_other_fonts(letters):
    images, labels = letters
    assert images.shape == (DATASETS.get("glyphs").rows, 28, 28)
    counts = pd.Series(labels).value_counts()
    assert "".join(sorted(counts.index)) == "abcdefghijklmnopqrstuvwxyz"
    assert counts.min() == 32
    assert images.max() == 255


@pytest.mark.parametrize(
    ("character", "letter"), [("a", "a"), ("à", "a"), ("𝐚", "a"), ("A", ""), ("α", ""), ("ſ", ""), ("ß", ""), ("æ", "")]
)
def test_a_letter_is_known_with_its_accents_and_in_the_alphabets_of_mathematics(character, letter):
    assert small_letter(ord(character)) == letter


def test_both_are_datasets_that_are_read_without_any_setting(described, letters, tmp_path, monkeypatch):
    few = described[1].iloc[::8].reset_index(drop=True)
    monkeypatch.setattr("headstart.datasets.glyphs.glyph_attributes", lambda: (described[0][::8], few))
    monkeypatch.setattr("headstart.datasets.glyphs.glyphs", lambda: letters)
    assert materialise("glyph_attributes", tmp_path / "glyph_attributes") == 609
    assert materialise("glyphs", tmp_path / "glyphs") == 1208
    source = list_labelled(tmp_path / "glyph_attributes", DataSettings(attribute_columns=("of", "another")))
    kinds = {own.name: own.kind for own in source.attributes}
    assert kinds.pop("kind") == "tag"
    assert {name for name, kind in kinds.items() if kind == "yes/no"} == {"bold", "slanted"} | {"serif", "monospace"}
    target = list_labelled(tmp_path / "glyphs", DataSettings())
    assert (target.kind, len(target), len(set(target.labels))) == ("class", 1208, 26)
    known = read_signatures(tmp_path / "glyphs", tuple(sorted(set(target.labels))))
    assert known.table.shape == (26, 18)


def test_no_two_letters_look_the_same_by_their_description():
    table = signatures().set_index("class")
    assert not table.duplicated().any()
    assert table.nunique().min() > 1
    assert table.loc["t", "ascender"] == 0.5
