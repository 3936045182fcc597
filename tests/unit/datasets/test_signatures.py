"""The table of what classes are like: where it is found, what it becomes, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from headstart.datasets.collect import collect
from headstart.datasets.ingest import ingest_target
from headstart.datasets.pack import Pack
from headstart.datasets.read import list_dataset
from headstart.datasets.settings import DataSettings
from headstart.datasets.signatures import read_signatures
from headstart.datasets.tabular import find_table
from headstart.errors import DataError

TABLE = "class,holes,round\ncat,1,yes\ndog,0.5,No\nelk,2,true\n"


@pytest.fixture
def write(tmp_path):
    def run(text: str):
        (tmp_path / "class_attributes.csv").write_text(text)
        return tmp_path

    return run


def test_it_is_a_row_of_numbers_a_class_in_the_order_of_the_classes(write):
    found = read_signatures(write(TABLE), ("elk", "cat", "dog"))
    assert found.columns == ("holes", "round")
    assert found.table.tolist() == [[2, 1], [1, 1], [0.5, 0]]


def test_it_may_be_of_more_classes_than_there_are_and_need_not_be_there(write, tmp_path):
    assert read_signatures(tmp_path, ("cat",)) is None
    assert read_signatures(write(TABLE), ("cat", "dog")).table.shape == (2, 2)
    assert read_signatures(write(TABLE), ()) is None  # a target of values


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("class,holes\ncat,1\n", r"has no row for 1 of 2 classes, such as 'dog'; .* \(its classes: cat\)"),
        ("class,holes\ncat,1\ndog,0\ncat,2\n", "class 'cat' is in row 2 and in row 4; leave one of them"),
        (
            "class,holes\ncat,1\ndog,many\n",
            r"class_attributes\.csv row 3: holes is 'many'; write yes or no .* or a num",
        ),
        ("class,holes\ncat,1\ndog,\n", r"row 3: holes is ''; .* leave out a column that is not known of every class"),
        ("class,holes\ncat,nan\ndog,1\n", "row 2: holes is 'nan'"),
        ("name,holes\ncat,1\ndog,0\n", r"has the columns name, holes; it needs 'class', the name of a class"),
        ("class\ncat\ndog\n", "it needs 'class', the name of a class, and one column or more"),
    ],
)
def test_what_is_wrong_is_named_with_its_row(write, text, stated):
    with pytest.raises(DataError, match=stated):
        read_signatures(write(text), ("cat", "dog"))


@pytest.fixture
def animals(write):
    folder = write(TABLE)
    for name in ("cat", "dog", "elk"):
        (folder / name).mkdir()
        for number in range(6):
            picture = np.random.default_rng(10 * ord(name[0]) + number).integers(0, 255, (8, 8)).astype(np.uint8)
            Image.fromarray(picture).save(folder / name / f"{number}.png")
    return folder


def test_it_is_not_taken_for_the_table_of_the_dataset(animals):
    assert find_table(animals, DataSettings()) is None
    assert set(list_dataset(animals, DataSettings()).labels) == {"cat", "dog", "elk"}


def test_the_pack_has_it(animals, tmp_path, decoder):
    settings = DataSettings(image_size=8)
    card = ingest_target(
        animals, tmp_path / "packs" / "a", settings=settings, seed=0, workers=decoder, progress=lambda *_: None
    )
    assert card.signatures == ("holes", "round")
    assert Pack(tmp_path / "packs" / "a").signatures.tolist() == [[1, 1], [0.5, 0], [2, 1]]
    (animals / "class_attributes.csv").unlink()
    ingest_target(
        animals, tmp_path / "packs" / "b", settings=settings, seed=0, workers=decoder, progress=lambda *_: None
    )
    assert Pack(tmp_path / "packs" / "b").signatures.shape == (3, 0)


def test_it_comes_along_when_a_dataset_is_registered(animals):
    assert "class_attributes.csv" in collect(animals, DataSettings()).files
    rows = "\n".join(f"{name}/{number}.png,{name}" for name in ("cat", "dog") for number in range(6))
    (animals / "labels.csv").write_text(f"path,label\n{rows}\n")
    assert "class_attributes.csv" in collect(animals / "labels.csv", DataSettings()).files
