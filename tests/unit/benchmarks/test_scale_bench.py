"""The bench of scale: its exponents, its data, how it measures memory and the disk, and its pages."""

import json
import mmap
import os
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.marked import begin, end, table
from benchmarks.scale.__main__ import README, RESULTS
from benchmarks.scale.data import CHARACTERS, dataset, render
from benchmarks.scale.document import document
from benchmarks.scale.fit import exponent
from benchmarks.scale.page import COMMAND, page, summary
from benchmarks.scale.picture import draw
from benchmarks.scale.points import DEFAULT, OTHERS, QUICK, STREAMED, WHOLE, Point
from benchmarks.scale.runs import RUNS, Run, read_runs
from headstart.settings import Settings
from headstart.strategies.table import STRATEGIES

linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc, the cache by mincore")
STREAM = {
    "size_mb": 1228.8, "rows": 100_000, "files": 5, "memory_mb": 100.0, "block_mb": 6.25, "blocks": 8, "open": 1.0,
    "left_in_cache": 0.0, "rates": {"plain": [1000.0, 1100.0], "windows": [900.0, 990.0], "batches": [500.0, 510.0]},
    "share_of_plain": 0.9, "before": 500.0, "resident": 700.0, "anonymous": 600.0, "steps": 400,
    "streamed": {"cpu_ms": 50.0, "wall_ms": 60.0, "got_ms": 0.6},
    "in_memory": {"cpu_ms": 49.0, "wall_ms": 55.0, "got_ms": 0.2},
}  # fmt: skip


@given(power=st.floats(-2, 3), scale=st.floats(1e-3, 1e3))
def test_an_exponent_is_the_power_that_a_cost_grows_by(power, scale):
    values = [1_000, 3_000, 10_000, 30_000, 100_000]
    found = exponent(values, [scale * value**power for value in values])
    assert found.whole == pytest.approx(power, abs=1e-9)
    assert found.end == pytest.approx(power, abs=1e-9)


def test_the_end_is_what_begins_at_a_tenth_of_the_largest():
    values = [1_000, 10_000, 100_000]
    found = exponent(values, [5.0, 10.0, 100.0])
    assert found.end == pytest.approx(1.0)
    assert found.whole == pytest.approx((np.log10(100) - np.log10(5)) / 2)
    assert exponent([10, 1000], [1.0, 100.0]).end is None


@pytest.mark.parametrize(("values", "costs"), [([10], [1.0]), ([10, 10], [1.0, 2.0]), ([1, 2], [0.0, 1.0])])
def test_an_exponent_of_too_little_is_refused(values, costs):
    with pytest.raises(ValueError, match="needs two values and positive costs"):
        exponent(values, costs)


def test_images_are_drawn_once_and_smaller_sets_are_links_to_the_first_of_them(tmp_path):
    small = dataset(tmp_path, "source", images=4, classes=2, side=16)
    large = dataset(tmp_path, "source", images=9, classes=3, side=16)
    names = sorted(path.relative_to(small).as_posix() for path in small.rglob("*.jpg"))
    assert names == ["u0061/000000.jpg", "u0061/000001.jpg", "u0062/000000.jpg", "u0062/000001.jpg"]
    assert len(list(large.rglob("*.jpg"))) == 9
    assert all(os.path.samefile(small / name, large / name) for name in names)
    with Image.open(small / names[0]) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (16, 16))
    assert len({path.read_bytes() for path in large.rglob("*.jpg")}) == 9  # ingest would leave duplicates together


def test_an_image_follows_from_its_name_and_there_are_characters_enough():
    assert np.array_equal(render("A", "source/1", 32), render("A", "source/1", 32))
    for other in (render("B", "source/1", 32), render("A", "target/1", 32), render("A", "source/2", 32)):
        assert not np.array_equal(render("A", "source/1", 32), other)
    assert len(set(CHARACTERS)) == len(CHARACTERS) == max(WHOLE.classes)


def test_all_points_differ_and_every_default_strategy_is_among_them():
    for extent in (WHOLE, QUICK):
        assert len(set(extent.points)) == len(extent.points)
        assert {point.job for point in extent.points if point.is_cell} >= set(Settings().finetune.strategies)
    needs = {
        entry.name for entry in STRATEGIES if entry.needs_attributes or entry.needs_unseen or not entry.takes("image")
    }
    assert set(STRATEGIES.names()) - set(DEFAULT) - set(OTHERS) == needs  # there is no source or target for these
    assert (min(WHOLE.images), max(WHOLE.images)) == (1_000, 100_000)


@linux
def test_a_peak_is_that_of_the_block():
    from benchmarks.scale.memory import peak

    def touch(size: int) -> None:
        """Pages of its own, not what an allocator has left of others."""
        with mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as pages:
            pages.write(b"x" * size)

    touch(60_000_000)  # before the block
    with peak() as found:
        touch(30_000_000)
    assert 20 < found.resident - found.before < 70
    assert found.anonymous <= found.resident


@linux
def test_dropped_files_are_not_in_the_cache(tmp_path):
    from benchmarks.scale.streamed import cached, drop

    path = tmp_path / "block"
    path.write_bytes(os.urandom(4_000_000))
    assert cached(path) > 0.9
    left = drop([path])
    if os.statvfs(tmp_path).f_fsid:  # a file system in memory has nothing to drop
        assert left < 0.1
    path.read_bytes()
    assert cached(path) > 0.9


def some_runs() -> list[Run]:
    costs = {"wall": 2.0, "before": 500.0, "anonymous": 450.0}
    return [
        *(
            Run(
                Point("images", "pretrain", n, n),
                {"cpu": n / 1000, "resident": 600.0, "open": 0.1, "pixels_mb": 50.0, **costs},
            )
            for n in (1_000, 10_000)
        ),
        Run(Point("strategies", "knn", 100, 3_000), {"cpu": 0.5, "resident": 610.0, **costs}),
        Run(Point(STREAMED, STREAMED, 100, 100), STREAM),
    ]


def test_runs_are_kept_and_read_again(tmp_path):
    from dataclasses import asdict

    assert read_runs(tmp_path) == []
    (tmp_path / RUNS).write_text("".join(json.dumps(asdict(run)) + "\n" for run in some_runs()))
    assert read_runs(tmp_path) == some_runs()


def test_a_document_has_the_exponents_and_the_page_says_them(tmp_path):
    found = document(some_runs())
    assert json.loads(json.dumps(found)) == found
    curve = found["curves"][0]
    assert (curve["curve"], curve["job"], curve["values"]) == ("images", "pretrain", [1_000, 10_000])
    assert curve["exponents"]["cpu"]["whole"] == pytest.approx(1.0)
    assert curve["exponents"]["resident"]["whole"] == pytest.approx(0.0)
    text = page(found, picture="scale.png")
    assert "| pretrain, an epoch | 1.00 | 10.0 | 1.00 | 1.00 |" in text
    assert "| pretrain, an epoch | 600 | 600 | 0.00 | 0.00 |" in text
    assert "| `knn` | 0.50 | 610 | 450 |" in text
    assert "0.10 s for 50 MB (500 MB/s, in the page cache)" in text
    assert "Shuffled blocks come at 90% of the rate" in text
    assert "1.0% of the 60 ms that a step takes" in text
    assert "pretrain 1.00 in time, 600 and 600 MiB" in summary(found)
    assert "The machine did other work meanwhile" in text  # half a core, on average
    draw(found, tmp_path / "scale.png")
    assert (tmp_path / "scale.png").stat().st_size > 1000


def test_tables_are_markdown():
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_the_pages_are_made_from_the_results():
    found = json.loads(RESULTS.read_text())
    assert RESULTS.with_suffix(".md").read_text() == page(found, picture="scale.png"), (
        "run `python -m benchmarks.scale --table`"
    )
    assert f"{begin(COMMAND)}\n\n{summary(found)}\n\n{end(COMMAND)}" in README.read_text()
    assert RESULTS.with_suffix(".png").is_file()
