"""`headstart init`: what it makes, what it leaves as it is, and what it refuses before it writes anything."""

import subprocess
from pathlib import Path

import pytest

from flows.cli import run_command
from headstart.errors import UserError
from headstart.settings import default_text, load
from tasks.project.create import create

ROOT = Path(__file__).parents[4]


def git(root: Path, *arguments: str) -> str:
    words = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org", *arguments]
    return subprocess.run(words, cwd=root, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project in a new folder. Read only."""
    return create(tmp_path_factory.mktemp("made") / "new" / "project")


def contents(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): path.read_text(errors="replace")
        for path in root.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


def test_a_new_folder_becomes_a_project(made) -> None:
    assert made.changed is None
    assert made.kept == []
    assert {"dvc.yaml", "params.yaml", "prefect.yaml", "data", "code.lock"} < set(made.made)
    load(made.root / "params.yaml")
    for name, origin in {"prefect.yaml": "prefect.yaml", "data/README.md": "data/README.md"}.items():
        assert (made.root / name).read_text() == (ROOT / origin).read_text()


def test_git_sees_what_names_the_data_and_not_what_runs_make(made) -> None:
    for name in ("packs/x/card.json", "models/x", "features/x", "reports/x", ".headstart/x", "data/mnist5k/0/1.png"):
        assert git(made.root, "check-ignore", "--", name).strip() == name
    seen = git(made.root, "status", "--porcelain", "--untracked-files=all").split()
    assert {"dvc.yaml", "code.lock/pretrain", "data/.gitignore", "data/README.md", ".dvc/config"} <= set(seen)


def test_a_repository_keeps_what_it_has(tmp_path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / ".gitignore").write_text("*.secret")
    (tmp_path / "prefect.yaml").write_text("deployments: []\n")
    (tmp_path / "params.yaml").write_text(default_text().replace("seed: 0", "seed: 7"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.csv").write_text("a,b\n")
    git(tmp_path, "add", "-A")
    project = create(tmp_path)
    assert {".gitignore", "prefect.yaml", "params.yaml", "data"} <= set(project.kept)
    assert (tmp_path / ".gitignore").read_text().startswith("*.secret\n/packs/\n")
    assert (tmp_path / "prefect.yaml").read_text() == "deployments: []\n"
    assert load(tmp_path / "params.yaml").seed == 7
    (tmp_path / "data" / "more.csv").write_text("c\n")
    assert "data/more.csv" in git(tmp_path, "status", "--porcelain", "--untracked-files=all")
    assert git(tmp_path, "check-ignore", "data/mnist5k").strip() == "data/mnist5k"


def test_once_more_changes_nothing(made, tmp_path) -> None:
    root = tmp_path / "project"
    git(tmp_path, "clone", "--quiet", str(made.root), str(root))  # of no commit: only to have a .git
    create(root)
    before = contents(root)
    again = create(root)
    assert again.changed == []
    assert contents(root) == before


def test_a_part_of_a_repository_has_a_dvc_of_its_own(tmp_path) -> None:
    git(tmp_path, "init", "--quiet")
    root = create(tmp_path / "vision").root
    assert (root / ".dvc").is_dir()
    assert not (root / ".git").exists()
    assert not (tmp_path / ".dvc").exists()


def test_a_checkout_of_headstart_is_refused() -> None:
    with pytest.raises(UserError, match="is a checkout of Headstart itself"):
        create(ROOT)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("models/mine.pt", "x", "has a folder models already"),
        ("params.yaml", "epochs: 3\n", "has a params.yaml that is not Headstart's .*epochs"),
        ("dvc.yaml", "stages: {report: {cmd: make report}}\n", "has a stage report of its own"),
        ("dvc.yaml", "stages: [", "is no YAML that can be read"),
        ("dvc.yaml", "- a\n", "is no dvc.yaml"),
    ],
)
def test_what_is_in_the_way_is_named_and_nothing_is_written(tmp_path, name, content, words) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    with pytest.raises(UserError, match=words):
        create(tmp_path)
    assert contents(tmp_path) == {name: content}
    assert not (tmp_path / ".git").exists()


def test_the_command_names_a_file_that_is_no_folder(tmp_path, capsys) -> None:
    (tmp_path / "notes").write_text("x")
    assert run_command(["init", str(tmp_path / "notes")]) == 2
    assert "notes is a file; give a folder" in capsys.readouterr().err


def test_the_command_says_how_to_begin(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(["init", "mine"]) == 0
    said = capsys.readouterr().out
    assert "made in mine: dvc.yaml, params.yaml, prefect.yaml, data, code.lock" in said
    assert "cd mine && git add . && git commit" in said
    assert run_command(["init", "mine"]) == 0
    assert capsys.readouterr().out == "mine is as the installed Headstart has it\n"
