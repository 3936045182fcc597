"""The bench's own arithmetic, data and pages; no peer and no training is needed for them."""

import json
import os
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import ttest_1samp

import benchmarks.speed.data as data
from benchmarks.__main__ import README, RESULTS
from benchmarks.marked import begin, end
from benchmarks.speed import runs
from benchmarks.speed.arithmetic import non_inferior, ratios, reached
from benchmarks.speed.child import Spec, files_below, singly, timed
from benchmarks.speed.data import STYLES, TARGETS, Sizes, class_name, render, write_data
from benchmarks.speed.document import document
from benchmarks.speed.jobs import ABSOLUTES, BEST, MEASURES, OURS, QUICK, STARTS, WHOLE
from benchmarks.speed.measure import Measured, run_command, run_side
from benchmarks.speed.page import COMMAND, absolute, page, summary
from benchmarks.speed.picture import draw
from benchmarks.speed.pipeline import read_steps
from benchmarks.speed.runs import Run, Sides, read_runs, run_all

SIDES = Sides(Path(sys.executable), Path(sys.executable))
PEERS = Path(data.__file__).parents[1] / "peers"


def a_run(contender: str, seconds: float, accuracy: float, repeat: int = 0, target: str = "digits") -> Run:
    return Run("probe", target, contender, repeat, 9.0, 10.0, 500.0, {"job": seconds, "accuracy": accuracy})


def test_ratios_are_of_medians_and_the_best_peer_is_the_fastest():
    found = ratios({OURS: [2.0, 1.0, 50.0], "timm": [40.0], "fastai": [100.0, 90.0, 80.0]})
    assert found == {"timm": 20.0, "fastai": 45.0, BEST: 20.0}
    assert reached(found, {"timm": 20.0, "fastai": 40.0})
    assert not reached(found, {BEST: 20.1})
    assert not reached(found, {"sklearn": 1.0})


def test_no_lower_is_students_one_sided_test():
    draw = np.random.default_rng(0)
    for _ in range(20):
        ours, peer = draw.normal(0.9, 0.01, 5), draw.normal(0.9, 0.01, 5)
        found = non_inferior(dict(enumerate(ours)), dict(enumerate(peer)))
        p = ttest_1samp(ours - peer, -0.01, alternative="greater").pvalue
        assert found.told == ("yes" if p < 0.05 else "no")
        assert found.seeds == 5


def test_the_lower_end_is_the_tables():
    """t of 2 degrees of freedom at 95%: 2.919986."""
    found = non_inferior({0: 0.90, 1: 0.91, 2: 0.92}, {0: 0.90, 1: 0.90, 2: 0.90})
    assert found.difference == pytest.approx(0.01)
    assert found.low == pytest.approx(0.01 - 2.919986 * 0.01 / 3**0.5, abs=1e-7)
    assert found.told == "yes"


def test_one_seed_tells_nothing_and_only_common_seeds_count():
    found = non_inferior({0: 0.9, 1: 0.5, 2: 0.5}, {0: 0.8})
    assert (found.seeds, found.low, found.told) == (1, None, "not told")
    with pytest.raises(ValueError, match="no seed in common"):
        non_inferior({0: 0.9}, {1: 0.9})


def test_an_image_follows_from_its_name_alone():
    style = STYLES["digits"]
    first, again = (np.asarray(render(style, "3", "digits/test/0")) for _ in range(2))
    assert first.shape == (data.FILE_SIDE, data.FILE_SIDE, 3)
    assert np.array_equal(first, again)
    for other in (render(style, "3", "digits/test/1"), render(style, "4", "digits/test/0")):
        assert not np.array_equal(first, np.asarray(other))


def test_targets_share_neither_characters_nor_faces_with_the_source():
    source = STYLES["source"]
    for name in TARGETS:
        assert not set(STYLES[name].characters) & set(source.characters)
        assert not set(STYLES[name].families) & set(source.families)
        assert STYLES[name].ground != source.ground


def test_each_character_is_a_class_of_its_own():
    for style in STYLES.values():
        assert len({class_name(character) for character in style.characters}) == len(style.characters)
    assert [class_name(character) for character in "A7θ"] == ["capital_a", "digit_seven", "small_theta"]


def test_data_are_written_once_and_anew_where_the_sizes_are_others(tmp_path, monkeypatch):
    monkeypatch.setattr(
        data, "STYLES", {name: replace(style, characters=style.characters[:2]) for name, style in STYLES.items()}
    )
    folder, sizes = tmp_path / "data", Sizes(source=2, train=1, test=1, seeds=2)
    write_data(folder, sizes)
    assert len(list(folder.rglob("*.jpg"))) == 4 + 2 * (2 + 2 * 2)
    path = folder / "greek" / "train-1" / "small_alpha" / "0000.jpg"
    with Image.open(path) as image:
        assert (image.format, image.size) == ("JPEG", (160, 160))
    before = path.stat().st_mtime_ns, path.read_bytes()
    write_data(folder, sizes)
    assert path.stat().st_mtime_ns == before[0]
    write_data(folder, replace(sizes, train=2))
    assert path.stat().st_mtime_ns != before[0]
    assert path.read_bytes() == before[1]


def test_files_are_taken_evenly_of_the_classes(tmp_path):
    for name in ("a/0", "a/1", "b/0", "b/1"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [str(path.relative_to(tmp_path)) for path in files_below(tmp_path, 3)] == ["a/0", "b/0", "a/1"]


def test_a_process_is_measured_whole(tmp_path):
    code = "import time, sys\nwhile time.process_time() < 0.3: pass\nblock = b'x' * 200_000_000\nprint('said')"
    found = run_command([sys.executable, "-c", code], tmp_path / "log.txt")
    assert 0.3 <= found.cpu < 3
    assert found.wall >= 0.3
    assert found.peak_mb > 200  # of a side that tells its own it is that: see child.py
    assert (tmp_path / "log.txt").read_text() == "said\n"


def test_a_process_that_fails_is_an_error_with_its_last_words(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)code 3.*no such peer"):
        run_command([sys.executable, "-c", "print('no such peer'); raise SystemExit(3)"], tmp_path / "log.txt")


def test_a_side_is_given_the_spec_and_gives_its_figures(tmp_path, monkeypatch):
    (tmp_path / "side.py").write_text(
        "import os\nfrom benchmarks.speed.child import main\n"
        "main({'job': lambda spec: {'train': str(spec.train), 'threads': os.environ['OMP_NUM_THREADS']}})\n"
    )
    monkeypatch.setattr("benchmarks.speed.measure.ROOT", tmp_path)
    (tmp_path / "benchmarks").symlink_to(PEERS.parent)
    spec = Spec("data", "prepared", "w", (0.5,), (0.2,), str(tmp_path), seed=2, target="greek")
    found = run_side(Path(sys.executable), "side", "job", spec)
    assert found.figures == {"train": os.path.join("data", "greek", "train-2"), "threads": "1"}


def test_single_files_are_timed_after_warming_up():
    seen: list[Path] = []
    files = [Path(str(number)) for number in range(100)]
    figures = singly(seen.append, files)
    assert len(seen) == 105
    assert 0 <= figures["p50"] <= figures["p99"] < 100


def test_a_block_is_timed():
    with timed() as taken:
        sum(range(200_000))
    assert 0 < taken.cpu <= taken.wall * 1.5


def test_every_contender_has_its_side_and_its_start():
    for extent in (WHOLE, QUICK):
        for job in extent.jobs:
            assert all((PEERS / f"with_{peer}.py").is_file() and peer in STARTS for peer in job.peers)
    assert {own.job for own in (*MEASURES, *ABSOLUTES)} == {job.name for job in WHOLE.jobs}


def test_the_peers_side_knows_nothing_of_headstart():
    """It runs where Headstart is not installed."""
    for path in [*PEERS.glob("*.py"), Path(data.__file__).with_name("child.py")]:
        assert "import headstart" not in path.read_text()
        assert "from headstart" not in path.read_text()


def test_peers_are_pinned_and_torch_is_ours():
    pinned = dict(
        line.split("==") for line in (PEERS / "requirements.txt").read_text().splitlines() if not line.startswith("#")
    )
    ours = (PEERS.parents[1] / "pyproject.toml").read_text()
    for name in ("torch", "torchvision", "timm"):
        assert f'"{name}=={pinned[name]}"' in ours
    assert {"fastai", "lightning", "scikit-learn"} <= pinned.keys()


def test_a_document_says_what_is_reached_and_what_is_told():
    runs = [
        *(a_run(OURS, 2.0, 0.91, 0), a_run(OURS, 2.2, 0.92, 1)),
        *(a_run("timm", 50.0, 0.90, 0), a_run("timm", 46.0, 0.90, 1)),
        *(a_run("fastai", 90.0, 0.95, 0), a_run("sklearn", 2.2, 0.80, 0)),
    ]
    found = document(runs, WHOLE, SIDES)
    row = found["measures"][0]
    assert row["medians"]["timm"] == 48.0
    assert row["ratios"]["timm"] == pytest.approx(48 / 2.1)
    assert row["reached"] is False  # scikit-learn's is 1.05x
    assert row["accuracy"]["timm"]["non_inferior"]["told"] == "no"  # two seeds, half a point apart
    assert row["accuracy"]["fastai"]["non_inferior"]["told"] == "not told"
    text = page(found, picture="results.png")
    assert "| linear probe, digits | 2.10 s | timm 48.0 (22.9x); fastai 90.0 (42.9x); sklearn 2.20 (1.0x) | " in text
    assert "| linear probe, digits | fastai | 95.0 | 1 | not told (one seed; -4.0) |" in text
    assert "| probe, digits | headstart | 9.0 | 10.0 | 500 | 2 |" in text
    assert "2.10 s (91.5%)" in summary(found)
    assert json.loads(json.dumps(found)) == found


def test_other_work_on_the_machine_is_said():
    found = document([a_run(OURS, 2.0, 0.9), a_run("timm", 1.0, 0.9)], WHOLE, SIDES)
    assert found["share_of_wall"] == pytest.approx(0.9)
    assert "**The machine did other work meanwhile**: half of the processes had less than 50% of" in page(
        found | {"share_of_wall": 0.5}
    )
    assert "other work" not in page(found | {"share_of_wall": 0.95})


def test_a_stopped_bench_goes_on_and_long_processes_run_once(tmp_path, monkeypatch):
    seconds = {OURS: 2.0, "torchvision": 61.0}

    def measured(folder, spec, sides, job, target, contender, repeat):
        return Measured(seconds[contender], 9.0, 1.0, {"job": repeat})

    monkeypatch.setattr(runs, "_run", measured)
    spec = Spec("", "", "", (), (), "", seed=0)

    def go(repeats: int) -> list[tuple[str, str, int]]:
        extent = replace(WHOLE, repeats=repeats)
        found = run_all(tmp_path, spec, extent, SIDES, jobs=("frozen",), contenders=tuple(seconds))
        return [(run.target, run.contender, run.repeat) for run in found]

    first = [(target, contender, 0) for target in TARGETS for contender in seconds]
    assert go(1) == first
    assert go(1) == []
    assert go(2) == [(target, OURS, 1) for target in TARGETS]
    assert len(read_runs(tmp_path, WHOLE)) == 6
    other = replace(WHOLE, sizes=replace(WHOLE.sizes, train=20))
    assert read_runs(tmp_path, other) == []  # a run of other data is as if it were not there


def test_a_peers_sweep_is_a_process_a_cell_and_ours_is_one(tmp_path, monkeypatch):
    asked = []

    def side(python, module, job, spec):
        asked.append((module.rpartition(".")[2], job, spec.ways, spec.seed, spec.labels))
        right = 0.5 if spec.ways == ("probe",) else 1.0
        return Measured(10.0 * spec.labels[0], 1.0, float(spec.labels[0]), {"accuracy": right, "linear_accuracy": 0})

    monkeypatch.setattr(runs, "run_side", side)
    extent = replace(WHOLE, jobs=tuple(job for job in WHOLE.jobs if job.name == "sweep"))
    spec = Spec("", "", "", (), (), "", seed=0)
    ours, timm = run_all(tmp_path, spec, extent, SIDES, jobs=("sweep",), contenders=(OURS, "timm"))
    assert asked[0] == ("ours", "sweep", ("probe", "full"), 0, (10, 40))
    assert asked[1:] == [
        ("with_timm", "cell", (way,), seed, (labels,))
        for way, seed, labels in product(("probe", "full"), (0, 1), (10, 40))
    ]
    assert timm.figures == {"job": 2000.0, "linear": 1000.0, "accuracy": 0.75, "linear_accuracy": 0.5}
    assert (timm.cpu, timm.wall, timm.peak_mb) == (2000.0, 8.0, 40.0)


def test_the_linear_part_of_a_sweep_has_its_own_accuracy():
    def sweep(contender: str, seconds: float, accuracy: float) -> Run:
        figures = {"job": seconds, "linear": seconds / 2, "accuracy": accuracy, "linear_accuracy": accuracy / 2}
        return Run("sweep", "digits", contender, 0, seconds, seconds, 1.0, figures)

    whole, linear = document([sweep(OURS, 10.0, 0.9), sweep("timm", 30.0, 0.8)], WHOLE, SIDES)["measures"]
    assert (whole["medians"][OURS], whole["accuracy"]["timm"]["mean"]) == (10.0, 0.8)
    assert (linear["medians"][OURS], linear["accuracy"]["timm"]["mean"]) == (5.0, 0.4)


LOG = """
23:59:50  source digits: 100 images
23:59:58  ingest_target: 1,797 rows (2.0 s, peak memory 300 MiB)
00:00:03  pretrain@mnist5k: W: resnet8 on mnist5k (4.5 s on AMD x2, peak memory 300 MiB)
00:00:04  rank: mnist5k is the only source (0.5 s, peak memory 300 MiB)
verdict: helped
"""


def test_steps_are_read_from_a_runs_log_past_midnight_too():
    ends, seconds = read_steps(LOG.strip().splitlines())
    assert seconds == [2.0, 4.5, 0.5]
    assert [end - ends[0] for end in ends] == [0, 5, 6]
    with pytest.raises(RuntimeError, match="0 steps were found"):
        read_steps(["nothing changed since the last run"])


def test_what_stands_beside_no_peer_is_held_to_its_limit():
    def one(figure: str, value: float) -> Run:
        return Run("pipeline", "", OURS, 0, 1.0, 1.0, 1.0, {figure: value})

    rows = document([one("nothing", 2.0), one("outside", 30.0)], WHOLE, SIDES)["absolute"]
    assert [(row["figure"], row["reached"]) for row in rows] == [("nothing", True), ("outside", False)]
    assert "| seconds of a run that has nothing to do | 2.00 | at most 3 | yes |" in absolute({"absolute": rows})


def test_the_picture_is_drawn(tmp_path):
    draw(document([a_run(OURS, 2.0, 0.9), a_run("timm", 1.0, 0.9)], WHOLE, SIDES), tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.format == "PNG"


def test_page_and_readme_are_those_of_the_results():
    found = json.loads(RESULTS.read_text())
    assert RESULTS.with_suffix(".md").read_text() == page(found, picture="results.png"), "run `make bench`"
    quoted = README.read_text().partition(begin(COMMAND))[2].partition(end(COMMAND))[0]
    assert quoted.strip() == summary(found)
