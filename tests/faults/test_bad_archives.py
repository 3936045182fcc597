"""Archives given as a dataset: refused as a whole with nothing left and nothing outside, or unpacked once."""

import resource
from pathlib import Path

import pytest
from corpus.archives import CASES, MANY, as_zip, members
from tally import trying

from headstart.datasets import archive
from headstart.datasets.check import check
from headstart.datasets.collect import collect
from headstart.errors import DataError
from headstart.modalities.table import IMAGE, TEXT

PROMISE = "Bad input: archives come out as the table says, nothing is written outside"
MEMORY = 64  # MiB that unpacking may take beyond what the process has


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_comes_out_as_the_table_says(case, tmp_path, small, decoder, monkeypatch):
    monkeypatch.setattr(archive, "MOST_FILES", MANY - 1000)
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    path, out = case.make(inner), inner / "out"
    before = set(tmp_path.rglob("*"))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with trying(PROMISE):
        if case.outcome == "X":
            with pytest.raises(DataError) as refused:
                archive.unpack(path, out, IMAGE)
            assert refused.value.exit_code == 2
            assert all(word in str(refused.value) for word in case.words)
            assert list(out.iterdir()) == []
        else:
            folder = archive.unpack(path, out, IMAGE)
            assert folder.name == "pets"
            found = check(
                folder,
                settings=small,
                seed=0,
                budgets=(2,),
                seeds=2,
                workers=decoder,
                progress=lambda done, of: None,
                anywhere=False,
            )
            assert {row["reason"].split(":")[0] for row in found["rejected"]} == {case.says} - {""}
            assert found["splits"]["pool"] + found["splits"]["test"] == 40
        assert {place for place in tmp_path.rglob("*") if not place.is_relative_to(out)} == before
        assert not Path("/tmp/escaped.png").exists()
        assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024 < MEMORY


def test_an_archive_is_unpacked_once_for_each_content(tmp_path):
    first = archive.unpack(as_zip(tmp_path / "pets.zip", members()), tmp_path / "out", IMAGE)
    (first / "mark").touch()
    assert archive.unpack(tmp_path / "pets.zip", tmp_path / "out", IMAGE) == first
    assert (first / "mark").exists()
    other = archive.unpack(as_zip(tmp_path / "pets.zip", members(21)), tmp_path / "out", IMAGE)
    assert other != first
    assert other.name == "pets"


def test_what_is_no_row_and_no_table_stays_packed(tmp_path):
    files = members() | {"cat/run.sh": b"x", "read me.txt": b"x", "__MACOSX/cat/._0.png": b"x", ".git/x.png": b"x"}
    found = archive.unpack(
        as_zip(tmp_path / "pets.zip", files | {"labels.csv": b"path,label\n"}), tmp_path / "out", IMAGE
    )
    places = {path.relative_to(found).as_posix() for path in found.rglob("*") if path.is_file()}
    assert places == {*members(), "labels.csv"}
    texts = archive.unpack(tmp_path / "pets.zip", tmp_path / "out", TEXT)  # the same archive, in a project of texts
    assert sorted(path.name for path in texts.rglob("*") if path.is_file()) == ["labels.csv", "read me.txt"]


def test_a_table_of_an_archive_brings_no_file_of_this_machine_along(tmp_path, small):
    case = next(case for case in CASES if case.name == "points_out")
    folder = archive.unpack(case.make(tmp_path), tmp_path / "out", IMAGE)
    found = collect(folder, small, confined=True)
    assert all(path.is_relative_to(folder) for path in found.files.values())
    assert found.rows == 40
