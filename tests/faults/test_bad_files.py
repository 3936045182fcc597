"""Odd names, links and special files: set aside with a code, refused with both names, or taken as any other."""

import os
import shutil
import tempfile
from contextlib import chdir
from pathlib import Path

import pandas as pd
import pytest
from corpus.file_system import CASES, folder_of_classes
from tally import trying

from headstart.datasets.check import check
from headstart.datasets.collect import collect
from headstart.datasets.folder import printable
from headstart.datasets.ingest import ingest_target
from headstart.errors import DataError

PROMISE = "Bad input: files and folders come out as the table says"


@pytest.fixture
def root(case):
    """Not below pytest's own folder, which nobody else may enter: see `as_nobody`."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in folder.rglob("locked.png"):
        path.chmod(0o600)
    shutil.rmtree(folder)


@pytest.fixture
def as_nobody(case):
    """Root may read any file: what cannot be read has to be tried as somebody else."""
    if case.name != "unreadable" or os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_comes_out_as_the_table_says(case, root, tmp_path, small, decoder, request):
    data = folder_of_classes(root / "set")
    place = case.make(data)
    how = {"settings": small, "seed": 0, "workers": decoder, "progress": lambda done, of: None}
    request.getfixturevalue("as_nobody")
    packs = tmp_path if os.geteuid() == os.getuid() else root
    with trying(PROMISE):
        if case.outcome == "X":
            for refuse in (
                lambda: check(data, budgets=(2,), seeds=2, **how),
                lambda: ingest_target(data, packs / "pack", **how),
                lambda: collect(data, small),
            ):
                with pytest.raises(DataError) as refused:
                    refuse()
                assert refused.value.exit_code == 2
                assert all(word in str(refused.value) for word in case.words)
            return
        found = check(data, budgets=(2,), seeds=2, **how)
        rejected = {row["path"]: row["reason"] for row in found["rejected"]}
        if case.outcome == "Q":
            assert list(rejected) == [place]
            assert rejected[place].split(":")[0] in case.words
            left_out = dict(collect(data, small).left_out)
            assert left_out[place].split(":")[0] in case.words
            return
        assert rejected == {}
        assert any(case.says in warning for warning in found["warnings"]) or not case.says
        assert found["splits"]["pool"] + found["splits"]["test"] == 40 + (bool(place) and not case.says)


def test_names_are_written_so_that_a_table_and_a_terminal_can_show_them(tmp_path, small, decoder):
    data = folder_of_classes(tmp_path / "set")
    for name in ("a\nb.png", "\x1b[31mred.png", 'a,"b.png', "\u202egnp.exe.png"):
        (data / "cat" / name).write_text("no picture")
    settings = small.model_copy(update={"max_rejected": 0.5})
    how = {"settings": settings, "seed": 0, "workers": decoder, "progress": lambda done, of: None}
    ingest_target(data, tmp_path / "packs" / "set", **how)
    written = (tmp_path / "packs" / "set" / "rejected.csv").read_text()
    assert written.isascii()
    assert "\x1b" not in written
    assert set(pd.read_csv(tmp_path / "packs" / "set" / "rejected.csv")["path"]) == {
        "cat/a\\nb.png",
        "cat/\\x1b[31mred.png",
        'cat/a,"b.png',
        "cat/\\u202egnp.exe.png",
    }
    assert printable("caf\u00e9.png") == "caf\u00e9.png"


def test_dvc_does_not_see_an_empty_folder_so_that_it_cannot_decide_whether_a_run_is_refused(tmp_path):
    """The same recorded data has it in one checkout and not in another: `check` warns, and nothing refuses it."""
    from dvc.repo import Repo

    folder_of_classes(tmp_path / "set")
    digests = []
    with chdir(tmp_path), Repo.init(no_scm=True) as repo:
        for _ in range(2):
            (stage,) = repo.add("set")
            digests.append(stage.outs[0].hash_info.value)
            (tmp_path / "set" / "bird").mkdir(exist_ok=True)
    assert digests[0] == digests[1]
