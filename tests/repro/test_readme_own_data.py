"""README's section on one's own data, as written: each command that stands there, on files as it describes them.

The first run is a real one, and what it delivers predicts; the others are planned, for their data are registered, read
and counted in the same way (tests/repro/test_own_data.py runs weights of one's own).
"""

import re
import shlex
import shutil
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest
import torch
from torchvision import models

pytestmark = pytest.mark.scenario

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def commands() -> list[list[str]]:
    """The words of each command in the section, comments left out, lines joined."""
    section = README.split("\n## Your own data\n")[1].split("\n## ")[0].replace("\\\n", " ")
    lines = re.findall(r"^    (headstart .*)$", section, re.MULTILINE)
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.fixture(scope="module")
def fresh(make_project):
    """A project in which nothing ran yet. Read only."""
    return make_project()


@pytest.fixture
def home(fresh, draw_pictures, tmp_path, monkeypatch):
    """A project that the test stands in; /path/to of the README lies beside it."""
    project = fresh.copy(tmp_path / "project")
    there = tmp_path / "to"
    draw_pictures(there / "pets", per_class=24, seed=4, ink=200)
    draw_pictures(there / "new-pets", per_class=6, seed=5, ink=200)
    draw_pictures(project.root / "new", per_class=3, seed=6, ink=200)
    rows = [(path.relative_to(there).as_posix(), path.parent.name) for path in sorted(there.glob("pets/*/*.png"))]
    pd.DataFrame(rows, columns=["path", "breed"]).to_csv(there / "labels.csv", index=False)
    torch.save(models.mobilenet_v2().state_dict(), project.root / "mine.pth")
    monkeypatch.chdir(project.root)
    return project


@pytest.fixture
def headstart(home, capsys):
    from flows.cli import run_command
    from tasks.versioning import versioning_of

    def run(words: list[str]) -> str:
        versioning_of.cache_clear()
        code = run_command([word.replace("/path/to", str(home.root.parent / "to")) for word in words])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return captured.out

    with patch("signal.signal"):  # the command sets SIGTERM's; this process keeps its own
        yield run


def test_the_section_has_its_commands():
    assert [words[0] for words in commands()] == ["check", *["run"] * 5, "predict", "run"]


def test_check_writes_nothing(home, headstart):
    assert "a run would take it; nothing was written" in headstart(commands()[0])
    assert home.run("git", "status", "--porcelain").stdout.split() == ["??", "mine.pth", "??", "new/"]


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 7])
def test_each_run_can_be_planned(home, headstart, number):
    words = commands()[number]
    if "--backbone" in words and "--source.weights" not in words:
        shutil.rmtree(home.root / "data" / "shapes")  # the source is torchvision's, and not fetched for a plan
    said = headstart([*words, "--plan"])
    assert "plan: up to " in said
    assert {2: "now data/labels", 7: "target.data: sketches -> glyphs"}.get(number, "now data/pets") in said


def test_the_first_run_and_what_it_delivers(home, run_warm):
    run, predict = commands()[1], commands()[6]
    words = [word.replace("/path/to", str(home.root.parent / "to")) for word in run]
    from flows.overrides import apply_overrides, parse_overrides
    from tasks.workspace import here

    apply_overrides(here(), parse_overrides(words[1:]))
    assert run_warm(home)["report"] == "ran"
    home.headstart(*predict)
    table = pd.read_csv(home.root / "predictions.csv")
    assert len(table) == 9
    assert set(table["prediction"]) <= {"bar", "cross", "disc"}
