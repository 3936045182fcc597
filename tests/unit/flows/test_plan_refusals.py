"""What a run would refuse after ingest is refused by its plan: by packs that are up to date, else by the files."""

import shutil
from contextlib import nullcontext
from pathlib import Path

import part_pictures
import pytest

from flows.cli import run_command
from flows.plan import check_foreseen
from headstart.errors import DataError, SettingsError
from headstart.settings import validate, write_default
from tasks.devices import Device
from tasks.workspace import Workspace

STALE = ("ingest_target", "ingest_source@shapes")


def settings(source: str, target: str, strategies: str = "scratch,full", unseen: str = ""):
    return validate(
        {
            "source": {"data": [source]},
            "target": {"data": target, "unseen": unseen.split(",") if unseen else []},
            "built_in": [],
            "data": {"attribute_columns": list(part_pictures.COLUMNS)},
            "finetune": {"strategies": strategies.split(",")},
        },
        where="test",
    )


REFUSED = [
    (("shapes", "sketches", "scratch,full", "eye"), SettingsError, "names 'eye', which is no class of sketches"),
    (("parts", "marks", "scratch,eszsl,full", "eye,ear,face,wall,roof"), SettingsError, "target.unseen leaves 2"),
    (("shapes", "sketches", "scratch,eszsl,full", "disc"), SettingsError, "needs to know what the classes of sketches"),
    (("shapes", "sketches", "scratch,joint_attributes"), SettingsError, "those of shapes have classes"),
]
TAKEN = [
    ("shapes", "sketches", "scratch,coral,co_tuning"),
    ("parts", "marks", "scratch,eszsl,joint_attributes", "eye,ear"),
]


@pytest.mark.parametrize("steps", [(), STALE])
@pytest.mark.parametrize(("given", "error", "words"), REFUSED)
def test_by_packs_or_by_files_it_is_refused(domain, given, error, words, steps):
    with pytest.raises(error, match=words):
        check_foreseen(Workspace(domain.root), settings(*given), steps)


@pytest.mark.parametrize(
    ("devices", "backbone", "words"),
    [
        (2, "resnet8", "devices is 2, and the backbone has BatchNorm"),
        (3, "convnext_tiny", "devices is 3, but this machine has 2 CPU cores; set it to 2 or less"),
        (2, "convnext_tiny", None),
        (1, "resnet8", None),
    ],
)
def test_several_devices_are_refused_where_a_network_cannot_be_shared_out(
    domain, monkeypatch, devices, backbone, words
):
    monkeypatch.setattr("flows.plan.available", lambda: (Device("cpu", 0, "Some CPU"),))
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1}, raising=False)
    asked = settings("shapes", "sketches").model_copy(update={"devices": devices, "backbone": backbone})
    refused = pytest.raises(SettingsError, match=words) if words else nullcontext()
    with refused:
        check_foreseen(Workspace(domain.root), asked, ())


def test_devices_are_looked_at_before_the_data_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr("flows.plan.available", lambda: (Device("cpu", 0, "Some CPU"),))
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1}, raising=False)
    asked = settings("shapes", "sketches").model_copy(update={"devices": 2, "backbone": "resnet8"})
    with pytest.raises(SettingsError, match="devices is 2, and the backbone has BatchNorm"):
        check_foreseen(Workspace(tmp_path), asked, ())


@pytest.mark.parametrize("steps", [(), STALE])
@pytest.mark.parametrize("given", TAKEN)
def test_what_a_run_takes_is_taken(domain, given, steps):
    check_foreseen(Workspace(domain.root), settings(*given), steps)


def test_a_pack_that_is_made_anew_is_not_asked(domain, tmp_path):
    """Other settings may make another kind of it: here a source of attributes that is named as the target."""
    shutil.copytree(domain.root / "data" / "parts", tmp_path / "data" / "parts")
    shutil.copytree(domain.root / "packs" / "marks", tmp_path / "packs" / "parts")
    check_foreseen(Workspace(tmp_path), settings("shapes", "parts"), ())
    with pytest.raises(DataError, match="has attributes .* enough for a source alone .*: a target needs a label"):
        check_foreseen(Workspace(tmp_path), settings("shapes", "parts"), STALE)


def test_what_is_not_there_yet_is_passed_over(tmp_path):
    check_foreseen(Workspace(tmp_path), settings("shapes", "sketches", unseen="no such class"), STALE)


def test_the_plan_asks_and_exits_with_2_in_one_line(domain, tmp_path, monkeypatch, capsys):
    for part in ("data", "packs"):
        shutil.copytree(domain.root / part / "sketches", tmp_path / part / "sketches")
        shutil.copytree(domain.root / part / "shapes", tmp_path / part / "shapes")
    shutil.copy(Path(__file__).parents[3] / "dvc.yaml", tmp_path)
    write_default(tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)

    class Versioning:
        def affected(self):
            return []

    monkeypatch.setattr("flows.plan.versioning_of", lambda root: Versioning())
    flags = ["--source.data", "shapes", "--target.data", "sketches", "--target.unseen", "bars"]
    assert run_command(["run", "--plan", *flags]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: target.unseen names 'bars', which is no class of sketches; did you mean bar?")
    assert len(said.splitlines()) == 1
