"""What a run would make of a dataset, as plain values; the settings are those of a run."""

import json
import shutil

import pytest
from PIL import Image

from headstart.datasets.check import check
from headstart.datasets.settings import DataSettings
from headstart.errors import DataError


@pytest.fixture
def run(decoder):
    def run(path, *, budgets=(2, 4), seeds=2, **settings):
        return check(
            path,
            settings=DataSettings(image_size=12, smallest_test=0).model_copy(update=settings),
            seed=0,
            budgets=budgets,
            seeds=seeds,
            workers=decoder,
            progress=lambda done, of: None,
        )

    return run


@pytest.fixture
def pictures(draw_pictures, tmp_path):
    return draw_pictures(tmp_path / "pets", per_class=30)


def test_counts_and_split(run, pictures):
    found = run(pictures)
    assert found["classes"] == {name: {"pool": 18, "test": 12} for name in ("bar", "cross", "disc")}
    assert found["splits"] == {"pool": 54, "test": 36}
    assert (found["own_test"], found["test_units"], found["units"]) == (False, 36, 90)
    assert (found["largest_label_budget"], found["largest_disjoint_label_budget"]) == (18, 9)
    assert (found["error"], found["rejected"], found["duplicates"], found["warnings"]) == ("", [], 0, [])
    assert (found["many"], found["looks"]) == ("images", "90 L; shorter side 12 to 12 pixels, median 12")
    assert json.loads(json.dumps(found)) == found


def test_what_is_wrong_is_said(run, pictures):
    (pictures / "bar" / "bad.png").write_text("no picture")
    shutil.copy(pictures / "disc" / "015.png", pictures / "disc" / "copy.png")
    for path in sorted((pictures / "disc").iterdir())[:10]:
        with Image.open(path) as file:
            image = file.convert("RGBA").resize((10, 14))
        image.save(path)
    found = run(pictures, channels=3, budgets=(4, 16))
    assert [row["path"] for row in found["rejected"]] == ["bar/bad.png"]
    assert found["duplicates"] == 1
    words = "\n".join(found["warnings"])
    assert "fewer than 32 rows in the pool, so the 2 seeds share labels at a budget of 16" in words
    assert "10 of 91 images are smaller than data.image_size (12) and are enlarged" in words
    assert "some images are gray and some in colour; if that differs by class, a network learns it instead" in words
    assert "10 images have transparency and are laid on white" in words


def test_colour_that_is_read_as_gray_and_size_that_is_lost_are_said(run, tmp_path):
    for number in range(20):
        place = tmp_path / "set" / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (100, 100), (12 * number, 0, 9)).save(place)
    words = "\n".join(run(tmp_path / "set")["warnings"])
    assert "images in colour (RGB) are read as gray; --data.channels 3 keeps colours" in words
    assert "half of the images have 100 pixels or more a side and are read at 12" in words
    assert "the 8 test rows are 8 independent units; below 10 no verdict can be settled" in words


def test_uneven_classes_and_classes_without_a_test_row_are_said(run, draw_pictures, tmp_path):
    draw_pictures(tmp_path / "set" / "train", per_class=50)
    draw_pictures(tmp_path / "set" / "test", per_class=12, seed=1)
    for path in sorted((tmp_path / "set" / "train" / "disc").iterdir())[4:]:
        path.unlink()
    shutil.rmtree(tmp_path / "set" / "test" / "bar")
    words = "\n".join(run(tmp_path / "set")["warnings"])
    assert "class 'bar': no test row, so nothing is said of it" in words
    assert "the classes are uneven: 50 rows of 'bar', 4 of 'disc'" in words


def test_a_budget_that_a_run_would_refuse_is_its_error(run, pictures):
    assert run(pictures, budgets=(10, 20))["error"] == ""  # the curve's are left out
    found = run(pictures, budgets=(20, 10))
    assert found["error"].startswith(
        "a label budget of 20 a class needs 20 labelled rows, but class 'bar' has 18 outside"
    )


def test_what_ingest_would_refuse_is_refused(run, pictures):
    shutil.rmtree(pictures / "bar")
    shutil.rmtree(pictures / "cross")
    with pytest.raises(DataError, match="images in 1 class folder"):
        run(pictures)


def test_values_are_summed_up(run, pictures, tmp_path):
    rows = [f"pets/{path.parent.name}/{path.name},{n}" for n, path in enumerate(sorted(pictures.rglob("*.png")))]
    (tmp_path / "ages.csv").write_text("path,value\n" + "\n".join(rows))
    found = run(tmp_path / "ages.csv")
    assert found["kind"] == "value"
    assert found["splits"] == {"pool": 54, "test": 36}
    assert min(found["values"][split]["min"] for split in ("pool", "test")) == 0
    assert found["values"]["pool"]["mean"] == pytest.approx(44.5, abs=4)


def test_images_outside_of_a_tables_folder_count_before_it_is_registered(run, pictures, tmp_path):
    rows = [f"../pets/{path.parent.name}/{path.name},{path.parent.name}" for path in sorted(pictures.rglob("*.png"))]
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "labels.csv").write_text("path,label\n" + "\n".join(rows))
    assert run(tmp_path / "tables" / "labels.csv")["splits"] == run(tmp_path / "tables")["splits"]
    assert run(tmp_path / "tables")["rejected"] == []
