"""Worktrees of real git and DVC: what comes along, what stays untouched, and that nothing is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from headstart.errors import UserError
from tasks.workspace import Workspace
from tasks.worktrees import MARK, environment, opened, sweep

SLEEPER = """
import subprocess, sys, time
from pathlib import Path
from tasks.workspace import Workspace
from tasks.worktrees import environment, opened
with opened(Workspace(Path(sys.argv[1]))) as worktree:
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], env=environment(worktree), start_new_session=True
    )
    print(worktree.root, child.pid, flush=True)
    time.sleep(600)
"""


def run(root: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return done.stdout


def git(root: Path, *arguments: str) -> str:
    return run(root, "git", "-c", "user.name=test", "-c", "user.email=test@example.org", *arguments)


def dvc(root: Path, *arguments: str) -> str:
    return run(root, sys.executable, "-m", "dvc", *arguments)


@pytest.fixture(autouse=True)
def _own_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")


def fill(root: Path) -> None:
    """A project of two files and a dataset, committed."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "params.yaml").write_text("seed: 0\n")
    (root / ".gitignore").write_text("/.headstart/\n")
    (root / "data" / "pets").mkdir(parents=True)
    (root / "data" / "pets" / "1.txt").write_text("cat\n")


@pytest.fixture
def main(tmp_path: Path) -> Workspace:
    root = tmp_path / "project"
    fill(root)
    git(root, "init", "-q", "-b", "main")
    dvc(root, "init", "-q")
    dvc(root, "add", "-q", "data/pets")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "a project")
    return Workspace(root)


def test_it_has_the_revisions_files_and_data_and_goes_with_the_block(main: Workspace) -> None:
    (main.root / "params.yaml").write_text("seed: 1\n")
    before = git(main.root, "status", "--porcelain")
    with opened(main) as worktree:
        assert worktree.root.is_relative_to(main.root / ".headstart" / "worktrees")
        assert worktree.params.read_text() == "seed: 0\n"
        assert (worktree.root / "data" / "pets" / "1.txt").read_text() == "cat\n"
        assert worktree.state == main.state.resolve()
        assert worktree.cells == main.cells
        with main.locked(), worktree.locked():
            pass  # each has a lock of its own
        assert git(worktree.root, "status", "--porcelain") == ""
        assert dvc(worktree.root, "cache", "dir").strip() == str(main.root / ".dvc" / "cache")
    assert git(main.root, "status", "--porcelain") == before
    assert [path.name for path in (main.state / "worktrees").iterdir()] == [".gitignore"]
    assert len(git(main.root, "worktree", "list").splitlines()) == 1


def test_uncommitted_edits_come_along_where_asked_and_the_index_stays(main: Workspace) -> None:
    (main.root / "staged.txt").write_text("staged\n")
    git(main.root, "add", "staged.txt")
    (main.root / "params.yaml").write_text("seed: 1\n")
    (main.root / "new.txt").write_text("untracked\n")
    before = git(main.root, "status", "--porcelain")
    with opened(main, uncommitted=True) as worktree:
        assert worktree.params.read_text() == "seed: 1\n"
        assert (worktree.root / "new.txt").read_text() == "untracked\n"
        assert (worktree.root / "staged.txt").read_text() == "staged\n"
    assert git(main.root, "status", "--porcelain") == before
    first = git(main.root, "rev-parse", "HEAD").strip()
    git(main.root, "commit", "-q", "-am", "more")
    with (
        pytest.raises(UserError, match=f"belong to HEAD, not to {first}"),
        opened(main, revision=first, uncommitted=True),
    ):
        pass


def test_an_older_revision_has_its_own_data(main: Workspace) -> None:
    (main.root / "data" / "pets" / "2.txt").write_text("dog\n")
    dvc(main.root, "add", "-q", "data/pets")
    git(main.root, "commit", "-q", "-am", "one more")
    with opened(main, revision="HEAD^") as worktree:
        assert [path.name for path in (worktree.root / "data" / "pets").iterdir()] == ["1.txt"]


def test_remotes_in_folders_are_found_from_there(main: Workspace) -> None:
    """Paths in DVC's config are relative to it, and the worktree lies elsewhere."""
    dvc(main.root, "remote", "add", "-d", "shared", "../store")
    git(main.root, "commit", "-q", "-am", "a remote")
    dvc(main.root, "remote", "add", "--local", "mine", "s3://bucket/place")
    dvc(main.root, "remote", "modify", "--local", "mine", "secret_access_key", "hidden")
    with opened(main) as worktree:
        assert dvc(worktree.root, "remote", "list").split() == [
            "shared",
            str(main.root.parent / "store"),
            "(default)",
            "mine",
            "s3://bucket/place",
        ]
        config = worktree.root / ".dvc" / "config.local"
        assert "secret_access_key = hidden" in config.read_text()
        assert config.stat().st_mode & 0o777 == 0o600


def test_a_project_may_be_a_part_of_a_repository(tmp_path: Path) -> None:
    root = tmp_path / "repository" / "transfer"
    fill(root)
    git(root.parent, "init", "-q", "-b", "main")
    dvc(root, "init", "-q", "--subdir")
    dvc(root, "add", "-q", "data/pets")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "a project in a folder")
    with opened(Workspace(root)) as worktree:
        assert worktree.root.name == "transfer"
        assert (worktree.root / "data" / "pets" / "1.txt").is_file()
        assert environment(worktree)[MARK] == str(worktree.root.parent)
        assert git(worktree.root, "status", "--porcelain") == ""


def test_processes_of_a_worktree_run_its_code_over_the_main_state(
    main: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (main.root / "flows").mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(main.root), str(tmp_path)]))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    with opened(main) as worktree:
        found = environment(worktree)
        assert found["PYTHONPATH"].split(os.pathsep) == [str(worktree.root), str(tmp_path)], "without the checkout's"
        assert found["HEADSTART_STATE"] == str(main.state)
        assert found["PREFECT_API_URL"] == "http://127.0.0.1:1/api"
        code = "from tasks.workspace import here; w = here(); print(w.root, w.state)"
        path = os.pathsep.join([str(Path(__file__).parents[3]), found["PYTHONPATH"]])
        said = subprocess.run(
            [sys.executable, "-c", code],
            cwd=worktree.root,
            env=found | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
        assert said.stdout.split() == [str(worktree.root), str(main.state)]


def refusals() -> list[tuple[str, Callable[[Path], None], str]]:
    return [
        ("no git repository", lambda root: None, "is not in git; run `git init"),
        (
            "no commit",
            lambda root: print(git(root, "init", "-q")),
            "has no commit yet, and a run takes its code from one",
        ),
    ]


@pytest.mark.parametrize(("_", "prepare", "words"), refusals())
def test_what_git_does_not_have_is_refused(_, prepare, words, tmp_path: Path) -> None:
    root = tmp_path / "project"
    fill(root)
    prepare(root)
    with pytest.raises(UserError, match=words), opened(Workspace(root)):
        pass
    assert not (root / ".headstart" / "worktrees").exists()


def test_an_unknown_revision_is_refused(main: Workspace) -> None:
    with pytest.raises(UserError, match=r"git knows no revision '--force' here; give a branch, a tag or a commit"):
        opened(main, revision="--force").__enter__()


def test_a_machine_without_git_is_refused(main: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="git is not on this machine's PATH"), opened(main):
        pass


def test_what_a_killed_run_left_is_swept_and_what_it_started_ends(main: Workspace) -> None:
    with opened(main) as alive:
        killed = subprocess.Popen([sys.executable, "-c", SLEEPER, str(main.root)], stdout=subprocess.PIPE, text=True)
        assert killed.stdout is not None
        place, child = killed.stdout.readline().split()
        assert sweep(main) == []
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        killed.stdout.close()
        assert Path(place).is_dir()
        assert psutil.pid_exists(int(child))
        began = time.monotonic()
        assert sweep(main) == [Path(place).name]
        assert time.monotonic() - began < 8, "the child ends at the first word"
        assert not Path(place).exists()
        assert not psutil.pid_exists(int(child)) or psutil.Process(int(child)).status() == psutil.STATUS_ZOMBIE
        assert alive.root.is_dir()
        assert len(git(main.root, "worktree", "list").splitlines()) == 2
    assert sweep(main) == []
