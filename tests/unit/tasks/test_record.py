"""Which run is meant, which cannot be made again, and why."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from headstart.errors import UserError
from tasks import record
from tasks.git import commit_of, git
from tasks.tracking import Pipeline
from tasks.workspace import EXPERIMENT, Workspace

TAGS = {record.REVISION: "a" * 40, record.LOCK: "b" * 64, record.DEVICE: "cpu AMD EPYC x2", record.EDITED: ""}
TEXTS = {"reproduce/params.yaml": "seed: 0\n", "reproduce/dvc.lock": "schema: '2.0'\n"}


def pipeline(run_id: str, **changed: str) -> Pipeline:
    tags = TAGS | {f"headstart.{name}": text for name, text in changed.items()}
    return Pipeline(run_id, "pets -> cats", "FINISHED", {name: text for name, text in tags.items() if text is not None})


RUNS = [
    pipeline("1111aaaa", lock=None),
    pipeline("2222bbbb", edited="tasks/grid.py"),
    pipeline("3333cccc"),
    pipeline("3333dddd", revision=""),
    pipeline("4444eeee", experiment="nightly"),
]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "grid.py").write_text("")
    git(tmp_path, "add", "-A")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "a project")
    tracking = SimpleNamespace(artifact_text=lambda run, path: TEXTS.get(path))
    monkeypatch.setattr(record, "_pipelines", lambda workspace: [(tracking, run) for run in RUNS])
    return Workspace(tmp_path)


def test_latest_is_the_newest_that_left_a_result(workspace, monkeypatch):
    monkeypatch.setattr(record, "_pipelines", lambda workspace: [(None, RUNS[0]), (None, RUNS[1])])
    with pytest.raises(UserError, match="run 2222bbbb"):
        record.find(workspace, "latest")


def test_a_run_is_found_by_the_beginning_of_its_id(workspace):
    found = record.find(workspace, "3333c")
    assert found.name == "run 3333cccc (pets -> cats)"
    assert (found.revision, found.params, found.lock) == ("a" * 40, *TEXTS.values())
    assert found.device == "cpu AMD EPYC x2"
    assert record.find(workspace, "4444").name == "run 4444eeee (pets -> cats)", "its experiment was removed"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1111", "is FINISHED and left no results to compare with; give one that came to its end"),
        ("2222", r"was made with edits that no commit has: tasks/grid\.py\. Commit before you run"),
        ("3333", "is the beginning of several runs: 3333cccc, 3333dddd"),
        ("3333d", "was made outside of git"),
        (
            "333",
            r"no run '333' left a result here; give `latest`, .* of an MLflow run's id: 2222bbbb, 3333cccc, 3333dddd",
        ),
        ("zzzz", "no run 'zzzz' left a result here"),
    ],
)
def test_what_cannot_be_made_again_is_refused(workspace, text, words):
    with pytest.raises(UserError, match=words):
        record.find(workspace, text)


def test_the_run_behind_an_experiment_is_known_by_its_tag(workspace):
    assert record.run_of(workspace, "nightly") == "4444eeee"
    assert record.run_of(workspace, "other") == ""


def test_artifacts_that_are_gone_are_named(workspace, monkeypatch):
    monkeypatch.delitem(TEXTS, "reproduce/dvc.lock")
    with pytest.raises(UserError, match=r"has no reproduce/params\.yaml and reproduce/dvc\.lock among its artifacts"):
        record.find(workspace, "3333c")


def test_tags_say_which_code_and_settings_a_run_began_with(workspace, monkeypatch, tmp_path):
    tags = record.at_start(workspace)
    assert tags[record.REVISION] == commit_of(workspace.root, "HEAD")
    assert tags[record.EDITED] == ""
    assert len(tags[record.PARAMS]) == 64
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    (tmp_path / "notes.txt").write_text("of no step\n")
    assert record.at_start(workspace)[record.EDITED] == "", "settings are recorded, and nothing reads the notes"
    assert record.at_start(workspace)[record.PARAMS] != tags[record.PARAMS]
    (tmp_path / "tasks" / "grid.py").write_text("1\n")
    for number in range(4):
        (tmp_path / "tasks" / f"new{number}.py").write_text("")
    monkeypatch.setenv(EXPERIMENT, "nightly")
    tags = record.at_start(workspace)
    assert tags[record.EDITED] == "tasks/grid.py, tasks/new0.py, tasks/new1.py and 2 more"
    assert tags[record.NAME] == "nightly"


def test_a_project_outside_of_git_runs_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    assert record.at_start(Workspace(tmp_path))[record.REVISION] == ""
