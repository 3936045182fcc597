"""Own test rows, groups, unlabelled rows and values through ingest: who is on which side, and who leaves."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from headstart.datasets.ingest import ingest_source, ingest_target
from headstart.datasets.pack import Pack, read_test_labels
from headstart.datasets.settings import DataSettings
from headstart.errors import DataError

SETTINGS = DataSettings(image_size=12, smallest_test=0)


@pytest.fixture
def splits(draw_pictures, tmp_path) -> Path:
    """train/ of 8, val/ of 2 and test/ of 5 pictures a class."""
    for seed, (name, count) in enumerate((("train", 8), ("val", 2), ("test", 5))):
        draw_pictures(tmp_path / "data" / "set" / name, per_class=count, seed=seed)
    return tmp_path / "data" / "set"


@pytest.fixture
def table(draw_pictures, tmp_path):
    """Writes data/tab/labels.csv of 30 pictures; the columns are functions of a picture's number and class."""

    def run(**columns) -> Path:
        folder = tmp_path / "data" / "tab"
        draw_pictures(folder / "img", per_class=10)
        rows = [(path.relative_to(folder).as_posix(), path.parent.name) for path in sorted(folder.rglob("*.png"))]
        frame = pd.DataFrame({"path": [path for path, _ in rows]})
        for name, function in columns.items():
            frame[name] = [function(number, label) for number, (_, label) in enumerate(rows)]
        frame.to_csv(folder / "labels.csv", index=False)
        return folder

    return run


@pytest.fixture
def ingest(decoder, tmp_path):
    def run(folder: Path, *, seed: int = 0, units: tuple[str, ...] = (), **changes) -> Pack:
        ingest_target(
            folder,
            tmp_path / "packs" / folder.name,
            settings=SETTINGS.model_copy(update=changes),
            seed=seed,
            workers=decoder,
            progress=lambda done, of: None,
            units=units,
        )
        return Pack(tmp_path / "packs" / folder.name)

    return run


def label_of(number: int, label: str) -> str:
    return label


def test_own_test_rows_are_the_test_rows_whatever_the_seed(ingest, splits):
    pack = ingest(splits)
    assert pack.card.splits == {"pool": 30, "test": 15}
    assert (pack.card.own_test, pack.card.validation) == (True, 6)
    assert all(path.startswith("test/") for path in read_test_labels(pack.directory)["path"])
    assert set(pack.examples["path"].dropna().str.split("/").str[0]) == {"train", "val"}
    ids = pack.ids(pack.rows("test"))
    assert ingest(splits, seed=1, test_fraction=0.9).ids(pack.rows("test")) == ids


def test_what_repeats_an_own_test_row_leaves_the_pool_and_is_counted(ingest, splits):
    for place in ("train/bar/copy.png", "val/disc/copy.png", "unlabelled/copy.png"):
        (splits / place).parent.mkdir(exist_ok=True)
        shutil.copy(splits / "test" / "bar" / "000.png", splits / place)
    shutil.copy(splits / "test" / "bar" / "001.png", splits / "test" / "bar" / "copy.png")  # stays: it is a test row
    pack = ingest(splits)
    assert pack.card.removed_overlap == 3
    assert pack.card.splits == {"pool": 30, "test": 16}
    assert pack.card.duplicates == 1


def test_a_class_without_enough_rows_outside_its_own_test_rows_is_refused(ingest, splits):
    for path in sorted((splits / "train" / "bar").iterdir())[1:]:
        path.unlink()
    with pytest.raises(DataError, match="class 'bar' has 3 rows outside the dataset's own test rows, at least 4 are"):
        ingest(splits)


def test_as_a_source_all_its_splits_may_be_learned_from(decoder, splits, tmp_path):
    (splits / "unlabelled").mkdir()
    Image.new("L", (12, 12), 77).save(splits / "unlabelled" / "1.png")
    card = ingest_source(
        splits,
        tmp_path / "packs" / "source",
        settings=SETTINGS,
        excluded=(),
        workers=decoder,
        progress=lambda done, of: None,
    )
    assert card.splits == {"pool": 45, "unlabelled": 1}
    assert card.counts == {"bar": 15, "cross": 15, "disc": 15}


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_never_on_both_sides(ingest, table, seed):
    """Groups of three; a copy of one group's picture in another joins the two."""
    folder = table(label=label_of, group=lambda number, label: f"p{number // 3}")
    shutil.copy(folder / "img" / "bar" / "000.png", folder / "img" / "bar" / "009.png")
    pack = ingest(folder, seed=seed)
    assert pack.examples["group"].value_counts().tolist() == [6] + [3] * 8
    sides = pack.examples.groupby("group")["split"].nunique()
    assert set(sides) == {1}
    assert set(pack.examples["split"]) == {"pool", "test"}
    assert not any(name.startswith("p") for name in pack.examples["group"])  # a name may tell the class


def test_a_group_on_both_sides_of_the_own_split_is_refused_by_name(ingest, table):
    folder = table(
        label=label_of,
        split=lambda number, label: "test" if number % 2 else "train",
        group=lambda number, label: "p" if number in (4, 7) else "",
    )
    with pytest.raises(DataError) as caught:
        ingest(folder)
    message = str(caught.value)
    assert (
        "1 groups lie on both sides of the dataset's own split, such as 'p' (img/bar/007.png is a test row" in message
    )
    assert '--data.group_column ""' in message
    assert ingest(folder, group_column="").card.splits == {"pool": 15, "test": 15}


def test_unlabelled_rows_count_nowhere_and_leave_with_the_test_rows_group(ingest, table):
    """Ten rows without a label; each is of the group of a labelled one."""
    folder = table(
        label=lambda number, label: "" if label == "disc" else label, group=lambda number, label: f"p{number % 10}"
    )
    pack = ingest(folder)
    test_groups = len(pack.rows("test")) // 2
    assert pack.card.classes == ("bar", "cross")
    assert pack.card.splits == {"pool": 20 - 2 * test_groups, "test": 2 * test_groups, "unlabelled": 10 - test_groups}
    assert pack.card.removed_overlap == test_groups > 0
    assert sum(pack.card.counts.values()) == pack.card.splits["pool"]
    unlabelled = pack.examples[pack.examples["split"] == "unlabelled"]
    assert unlabelled["label"].isna().all()
    assert unlabelled["path"].notna().all()


def test_values_are_split_over_their_range_and_hidden(ingest, table):
    folder = table(value=lambda number, label: 2.5 * number)
    pack = ingest(folder, units=("years",))
    card = pack.card
    assert (card.kind, card.values[0].unit, card.classes, card.counts) == ("value", "years", (), {})
    pool = pack.examples.loc[pack.rows("pool"), "value"].to_numpy()
    assert card.values[0].mean == pytest.approx(pool.mean())
    assert card.values[0].std == pytest.approx(pool.std())
    assert pack.examples["label"].isna().all()
    assert pack.examples.loc[pack.rows("test"), "value"].isna().all()
    truth = read_test_labels(pack.directory)
    assert list(truth.columns) == ["id", "path", "value", "group"]
    assert [int(((truth["value"] >= low) & (truth["value"] < low + 25)).sum()) for low in (0, 25, 50)] == [4, 4, 4]
    declared = json.loads((pack.directory / "card.json").read_text())["targets"]
    assert declared == [{"name": "value", "kind": "value", "unit": "years"}]


def test_too_few_values_are_refused(ingest, table):
    folder = table(value=lambda number, label: number if number < 19 else "")
    with pytest.raises(DataError, match="has 19 readable images with a value, at least 20 are needed"):
        ingest(folder)
    assert ingest(folder, min_rows_of_values=19).card.kind == "value"


def test_a_constant_value_has_a_scale_of_one(ingest, table):
    assert ingest(table(value=lambda number, label: 3)).card.values[0].std == 1.0


def test_bad_rows_of_a_table_count_as_bad_files(ingest, table):
    folder = table(label=label_of)
    with (folder / "labels.csv").open("a") as file:
        file.write("img/none.png,bar\n")
    with pytest.raises(
        DataError, match=r"1 of 31 images cannot be read \(3%, at most 1% allowed\): labels.csv row 32: M"
    ):
        ingest(folder, max_rejected=0.01)
    pack = ingest(folder)
    assert pack.card.rejected == {"MISSING": 1}
    rejected = pd.read_csv(pack.directory / "rejected.csv").to_dict("records")
    assert rejected == [{"path": "labels.csv row 32", "reason": "MISSING: file img/none.png is missing"}]


def test_the_pack_is_the_same_bytes_however_it_is_cut(ingest, splits, monkeypatch):
    """Chunks for the workers, chunks under way, and blocks on the way to the disk."""
    names = ("inputs.npy", "examples.parquet", "card.json")
    first = [(ingest(splits).directory / name).read_bytes() for name in names]
    assert np.load(ingest(splits).directory / "inputs.npy").shape == (45, 1, 12, 12)
    monkeypatch.setattr("headstart.datasets.rows.CHUNK", 7)
    monkeypatch.setattr("headstart.datasets.rows.AHEAD", 2)
    monkeypatch.setattr("headstart.datasets.pack.BLOCK", 4)
    monkeypatch.setattr("headstart.datasets.ingest.BLOCK", 11)
    assert [(ingest(splits).directory / name).read_bytes() for name in names] == first


def test_gray_and_transparent_pictures_of_one_class_are_one_array(ingest, draw_pictures, tmp_path):
    """As folders that were gathered from several places hold them."""
    folder = draw_pictures(tmp_path / "data" / "mixed", per_class=6)
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        with Image.open(path) as file:
            image = file.copy()
        if number % 3 == 1:
            image.convert("RGBA").save(path)
        elif number % 3 == 2:
            image.convert("P").save(path)
    assert ingest(folder, channels=3).inputs.shape == (18, 3, 12, 12)
    gray = ingest(folder)
    assert gray.inputs.shape == (18, 1, 12, 12)
    for row in gray.rows("pool")[:6]:
        with Image.open(folder / gray.examples["path"][row]) as file:
            assert (gray.inputs[row, 0] == np.asarray(file.convert("L"))).all()


class TestTooFewRowsForATestSet:
    """All labelled rows stay in the pool, in folds; the default asks for 150 test rows."""

    FOLDS = {"smallest_test": 150}

    def test_groups_are_in_one_fold_and_are_what_is_counted(self, ingest, table):
        pack = ingest(table(label=label_of, group=lambda number, _: f"p{number // 2}"), **self.FOLDS)
        assert (pack.card.folds, pack.card.splits, pack.card.test_units) == (5, {"pool": 30}, 15)
        for repeat in range(3):
            for fold in range(5):
                outside, inside = (set(pack.examples["group"].iloc[rows]) for rows in pack.fold(repeat, fold))
                assert not outside & inside

    def test_values_are_in_folds_that_cover_their_range(self, ingest, table):
        pack = ingest(table(value=lambda number, _: float(number)), label_column="", **self.FOLDS)
        assert (pack.card.kind, pack.card.folds, pack.card.largest_label_budget) == ("value", 5, 24)
        truth = read_test_labels(pack.directory).set_index("id")["value"]
        assert sorted(truth) == [float(number) for number in range(30)]
        for fold in range(5):
            found = truth[pack.ids(pack.fold(0, fold)[1])]
            assert found.min() < 15 < found.max()

    def test_unlabelled_rows_of_a_labelled_rows_group_leave(self, ingest, table):
        pack = ingest(
            table(
                label=lambda _, label: "" if label == "disc" else label,
                group=lambda number, _: "p" if number in (0, 25) else "",
            ),
            **self.FOLDS,
        )
        assert pack.card.splits == {"pool": 20, "unlabelled": 9}
        assert pack.card.removed_overlap == 1

    def test_a_class_of_one_group_is_refused(self, ingest, table):
        folder = table(label=label_of, group=lambda number, label: "p" if label == "disc" else "")
        with pytest.raises(DataError) as caught:
            ingest(folder, **self.FOLDS)
        assert "class 'disc' has 0 rows outside a fold of cross-validation, at least 2 are needed" in str(caught.value)
        assert "nor of one group, or remove the class" in str(caught.value)

    def test_own_test_rows_are_kept_however_few(self, ingest, splits):
        pack = ingest(splits, **self.FOLDS)
        assert (pack.card.folds, pack.card.own_test, pack.card.splits["test"]) == (0, True, 15)
        assert pack.card.test_units == 15
