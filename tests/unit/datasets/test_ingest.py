"""Ingest: bad files are set aside, duplicates stay together, and the target's test rows leave the source."""

import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from headstart.datasets.ingest import ingest_source, ingest_target
from headstart.datasets.pack import Pack, read_test_labels
from headstart.datasets.rows import CHUNK, Chunk, decode_chunk
from headstart.datasets.settings import DataSettings
from headstart.errors import DataError, HeadstartError
from headstart.modalities.image.modality import HowImage

SETTINGS = DataSettings(image_size=12, smallest_test=0)


@pytest.fixture
def pictures(draw_pictures, tmp_path) -> Path:
    return draw_pictures(tmp_path / "data" / "set", per_class=10)


@pytest.fixture
def ingest(decoder, tmp_path):
    """Packs a folder as a target; the settings may be changed by keyword."""

    def run(folder: Path, *, seed: int = 0, name: str = "set", progress=lambda done, of: None, **changes) -> Pack:
        settings = SETTINGS.model_copy(update=changes)
        ingest_target(
            folder, tmp_path / "packs" / name, settings=settings, seed=seed, workers=decoder, progress=progress
        )
        return Pack(tmp_path / "packs" / name)

    return run


@pytest.fixture
def ingest_as_source(decoder, tmp_path):
    def run(folder: Path, excluded=()) -> Pack:
        ingest_source(
            folder,
            tmp_path / "packs" / "source",
            settings=SETTINGS,
            excluded=excluded,
            workers=decoder,
            progress=lambda done, of: None,
        )
        return Pack(tmp_path / "packs" / "source")

    return run


def all_labels(pack: Pack) -> dict[str, str]:
    """Of all rows, by id; the test rows' from where they lie apart."""
    test = read_test_labels(pack.directory)
    known = pack.examples.dropna(subset="label")
    return dict(zip([*known["id"], *test["id"]], [*known["label"], *test["label"]], strict=True))


def contents(pack: Pack, split: str) -> set[str]:
    """Digests of the pixels of a split's rows."""
    return {row.rpartition("-")[0] for row in pack.ids(pack.rows(split))}


def test_rows_are_the_files_and_their_classes(ingest, pictures):
    pack = ingest(pictures)
    assert pack.card.classes == ("bar", "cross", "disc")
    assert pack.card.splits == {"pool": 18, "test": 12}
    assert pack.card.counts == {"bar": 6, "cross": 6, "disc": 6}
    assert (pack.card.name, pack.card.size, pack.card.channels) == ("set", (12, 12), 1)
    assert (pack.card.duplicates, pack.card.removed_overlap, pack.card.rejected) == (0, 0, {})
    pool = pack.rows("pool")
    for row in pool[:4]:
        expected = np.asarray(Image.open(pictures / pack.examples["path"][row]))
        assert (pack.inputs[row, 0] == expected).all()
    assert pack.examples["id"].is_unique
    assert sorted(all_labels(pack).values()) == ["bar"] * 10 + ["cross"] * 10 + ["disc"] * 10


def test_mean_and_sd_are_of_the_pixels_outside_the_test_rows(ingest, pictures):
    """Test inputs never fit anything."""
    pack = ingest(pictures)
    pool = pack.inputs[pack.rows("pool")] / 255
    assert pack.card.mean == pytest.approx((pool.mean(),), abs=1e-6)
    assert pack.card.std == pytest.approx((pool.std(),), abs=1e-6)
    assert pack.card.mean != pytest.approx(((pack.inputs[:] / 255).mean(),), abs=1e-6)


def test_in_colour_there_is_one_mean_a_channel(ingest, pictures):
    for path in pictures.rglob("*.png"):
        image = Image.open(path)
        Image.merge("RGB", (image, Image.new("L", image.size, 51), image)).save(path)
    card = ingest(pictures, channels=3).card
    assert card.mean[1] == pytest.approx(0.2)
    assert card.mean[0] == card.mean[2] != card.mean[1]
    assert card.std[1] == 1e-3  # a channel that never changes is not divided by nothing


def test_the_test_rows_follow_from_the_seed_and_the_pictures_alone(ingest, pictures, tmp_path):
    """Not from what the files are called."""
    first = ingest(pictures)
    again = ingest(pictures, name="again")
    other = ingest(pictures, name="other", seed=1)
    renamed = tmp_path / "data" / "renamed"
    for number, path in enumerate(sorted(pictures.rglob("*.png"), reverse=True)):
        (renamed / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, renamed / path.parent.name / f"{number}.png")
    assert contents(again, "test") == contents(first, "test") == contents(ingest(renamed, name="renamed"), "test")
    assert contents(other, "test") != contents(first, "test")


def test_exact_duplicates_are_on_one_side_and_have_ids_of_their_own(ingest, pictures):
    for number in range(5):
        Image.open(pictures / "bar" / "000.png").save(pictures / "bar" / f"copy{number}.bmp")
    pack = ingest(pictures)
    assert pack.card.duplicates == 5
    assert not contents(pack, "pool") & contents(pack, "test")
    sizes = pack.examples["group"].value_counts()
    assert sizes.iloc[0] == 6
    assert sizes.iloc[1] == 1
    copies = sorted(pack.examples["id"][pack.examples["group"] == sizes.index[0]])
    assert [name.rpartition("-")[2] for name in copies] == ["0", "1", "2", "3", "4", "5"]


def test_one_picture_under_two_classes_is_set_aside_under_both(ingest, pictures):
    whole = ingest(pictures, name="whole")
    shutil.copy(pictures / "bar" / "000.png", pictures / "disc" / "copy.png")
    pack = ingest(pictures, max_rejected=0.1)
    assert pack.card.rejected == {"TWO_LABELS": 2}
    assert pd.read_csv(pack.directory / "rejected.csv").to_dict("split")["data"] == [
        ["bar/000.png", "TWO_LABELS: 'bar', and 'disc' as disc/copy.png"],
        ["disc/copy.png", "TWO_LABELS: 'disc', and 'bar' as bar/000.png"],
    ]
    assert len(pack.examples) == 29
    pixels = {id_: row for id_, row in zip(whole.ids(np.arange(30)), whole.inputs[:], strict=True)}
    found = zip(pack.ids(np.arange(29)), pack.inputs[:], strict=True)
    assert all((pixels[id_] == row).all() for id_, row in found)  # rows that stay keep their pixels


def test_bad_files_are_set_aside_with_their_reasons(ingest, pictures):
    whole = (pictures / "bar" / "000.png").read_bytes()
    (pictures / "bar" / "000.png").write_bytes(whole[: len(whole) // 2])
    (pictures / "disc" / "text.jpg").write_text("no picture")
    (pictures / "disc" / "text2.jpg").write_text("nor this")
    pack = ingest(pictures, max_rejected=0.1)
    assert pack.card.rejected == {"NOT_AN_IMAGE": 2, "UNREADABLE": 1}
    assert len(pack.examples) == 29
    rejected = pd.read_csv(pack.directory / "rejected.csv").set_index("path")["reason"]
    assert rejected.index.tolist() == ["bar/000.png", "disc/text.jpg", "disc/text2.jpg"]
    assert rejected["disc/text.jpg"].startswith("NOT_AN_IMAGE: none of ")
    assert rejected["bar/000.png"].startswith("UNREADABLE: ")


def test_more_bad_files_than_allowed_are_an_error_that_names_some(ingest, pictures):
    for number in range(12):
        (pictures / "bar" / f"bad{number:02d}.png").write_text("no picture")
    with pytest.raises(DataError) as caught:
        ingest(pictures)
    message = str(caught.value)
    assert "set: 12 of 42 images cannot be read (29%, at most 5% allowed): bar/bad00.png: NOT_AN_IMAGE" in message
    assert "bar/bad09.png" in message
    assert "bar/bad10.png" not in message
    assert "Repair or remove them, or raise data.max_rejected" in message
    assert len(ingest(pictures, max_rejected=0.3).examples) == 30


def test_the_share_of_bad_files_may_be_met_exactly(ingest, pictures):
    for number in range(10):
        (pictures / "bar" / f"bad{number}.png").write_text("no picture")
    assert len(ingest(pictures, max_rejected=0.25).examples) == 30
    with pytest.raises(DataError, match="10 of 40"):
        ingest(pictures, max_rejected=0.2499)


def test_a_class_with_too_few_readable_images_is_refused_by_name(ingest, pictures):
    for path in sorted((pictures / "cross").iterdir())[3:]:
        path.unlink()
    with pytest.raises(DataError) as caught:
        ingest(pictures)
    assert "class 'cross' has 3 readable images, at least 4 are needed" in str(caught.value)
    assert "lower data.min_rows_per_class" in str(caught.value)
    assert ingest(pictures, min_rows_per_class=3).card.counts["cross"] == 2


def test_a_class_of_bad_files_alone_is_refused_not_forgotten(ingest, pictures):
    (pictures / "moon").mkdir()
    (pictures / "moon" / "0.png").write_text("no picture")
    with pytest.raises(DataError, match="class 'moon' has 0 readable images"):
        ingest(pictures)


def test_a_class_whose_rows_are_all_test_rows_is_refused(ingest, pictures):
    """As they are where all of them are copies of one picture."""
    for path in sorted((pictures / "cross").iterdir())[1:]:
        path.write_bytes((pictures / "cross" / "000.png").read_bytes())
    with pytest.raises(DataError, match=r"class 'cross' has no row outside the test rows; lower data\.test_fraction"):
        ingest(pictures, test_fraction=0.5)


def test_nothing_is_published_where_ingest_fails(ingest, pictures, tmp_path):
    (pictures / "moon").mkdir()
    (pictures / "moon" / "0.png").write_text("no picture")
    with pytest.raises(DataError):
        ingest(pictures)
    assert list((tmp_path / "packs").iterdir()) == []


def test_a_decoder_that_dies_is_an_error_of_ours_and_nothing_is_published(pictures, tmp_path):
    """A decoding library may be killed by what it reads, or for lack of memory."""
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=os._exit, initargs=(9,)) as dying,
        pytest.raises(HeadstartError, match=r"decodes files died \(killed, or out of memory\)"),
    ):
        ingest_target(
            pictures, tmp_path / "pack", settings=SETTINGS, seed=0, workers=dying, progress=lambda done, of: None
        )
    assert not (tmp_path / "pack").exists()


def test_all_rows_of_a_source_may_be_learned_from(ingest_as_source, pictures):
    pack = ingest_as_source(pictures)
    assert pack.card.splits == {"pool": 30}
    assert pack.card.counts == {"bar": 10, "cross": 10, "disc": 10}
    assert pack.examples["label"].notna().all()
    assert not pack.directory.with_name(f"{pack.directory.name}.test").exists()


def test_the_targets_test_rows_leave_the_source_and_are_counted(ingest, ingest_as_source, pictures, draw_pictures):
    """The same pixels in another file, of another format, under another name."""
    source = draw_pictures(pictures.with_name("source"), per_class=12, seed=9)
    target = ingest(pictures)
    test_rows = read_test_labels(target.directory)["path"].tolist()
    pool_rows = target.examples["path"].dropna().tolist()
    for number, path in enumerate([*test_rows[:3], *test_rows[:1], *pool_rows[:2]]):
        Image.open(pictures / path).save(source / "disc" / f"copy{number}.bmp")
    pack = ingest_as_source(source, excluded=contents(target, "test"))
    assert pack.card.removed_overlap == 4  # one of the test rows was there twice; pool rows may stay
    assert pack.card.splits == {"pool": 38}
    assert not contents(pack, "pool") & contents(target, "test")
    assert len(contents(pack, "pool") & contents(target, "pool")) == 2


def test_a_source_of_which_too_little_is_left_is_refused(ingest, ingest_as_source, pictures):
    """Pretraining on what is left of a class, or on one class alone, would be a W of no use."""
    target = ingest(pictures, test_fraction=0.7)
    ingest_as_source(pictures)
    with pytest.raises(DataError) as caught:
        ingest_as_source(pictures, excluded=contents(target, "test"))
    message = str(caught.value)
    assert "set: 21 of its 30 rows are among the target's test rows and are left out" in message
    assert "class 'bar' keeps 3, at least 4 are needed; add rows, remove the class, or choose another" in message


def test_progress_counts_files(ingest, pictures):
    heard = []
    ingest(pictures, progress=lambda done, of: heard.append((done, of)))
    assert heard == [(30, 30)]


def test_work_is_cut_into_chunks_for_the_workers(ingest, draw_pictures, tmp_path):
    folder = draw_pictures(tmp_path / "data" / "many", per_class=50)
    heard = []
    ingest(folder, name="many", progress=lambda done, of: heard.append((done, of)))
    assert heard == [(CHUNK, 150), (2 * CHUNK, 150), (150, 150)]


def test_a_chunk_is_decoded_in_its_order(pictures):
    paths = tuple(str(pictures / "bar" / name) for name in ("001.png", "000.png", "none.png"))
    found = decode_chunk(Chunk(tuple(map(Path, paths)), "image", HowImage(12, 1)))
    assert [item.reason.split(":")[0] for item in found] == ["", "", "UNREADABLE"]
    assert (found[0].values[0] == np.asarray(Image.open(paths[0]))).all()


class TestTexts:
    """What ingest makes of a table of texts."""

    @pytest.fixture
    def pack(self, ingest, tmp_path):
        folder = tmp_path / "data" / "notes"
        folder.mkdir(parents=True)
        rows = [
            (f"my note {number}: rather {'fine' if number % 2 else 'poor'}", "ab"[number % 2]) for number in range(40)
        ]
        rows += [("a\x00b", "a"), ("My NOTE 3 - rather fine!", "b"), ("x" * 40, "a")]
        pd.DataFrame(rows, columns=["text", "label"]).to_csv(folder / "notes.csv", index=False)
        text = SETTINGS.text.model_copy(update={"length": 32})
        return ingest(folder, name="notes", modality="text", text=text, test_fraction=0.4)

    def test_rows_are_bytes_and_the_card_says_how_long_texts_are(self, pack):
        assert (pack.card.modality, pack.card.size, pack.card.channels) == ("text", (32,), 257)
        assert (pack.inputs.dtype, pack.inputs.shape) == (np.dtype("int32"), (42, 32))
        assert (pack.card.mean, pack.card.std) == ((), ())
        assert pack.card.statistics["characters"][-1] == 40
        assert pack.card.changed == {"cut": 1}
        assert pack.card.preparation == {"text": {"length": 32, "tokens": "bytes", "largest_bytes": 1_000_000}}
        row = int(np.flatnonzero(pack.examples["path"].eq("notes.csv row 2"))[0])
        assert bytes((pack.inputs[row][pack.inputs[row] > 0] - 1).astype(np.uint8)) == b"my note 0: rather poor"

    def test_bad_ones_are_set_aside_by_their_rows_and_near_ones_stay_together(self, pack):
        rejected = pd.read_csv(pack.directory / "rejected.csv")
        assert rejected["path"].tolist() == ["notes.csv row 42"]
        assert rejected["reason"].str.startswith("CONTROL: ").all()
        assert pack.card.near_duplicates == 1
        near = pack.examples.groupby("group").filter(lambda rows: len(rows) > 1)
        assert len(near) == 2
        assert near["split"].nunique() == 1
