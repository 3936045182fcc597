"""Experiments by git's plumbing: DVC lists them, names are one run's, and equal settings are found again."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headstart.errors import UserError
from tasks import experiments
from tasks.git import commit_of, git


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a commit, on a machine where git knows no author."""
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    place = tmp_path / "project"
    place.mkdir()
    git(place, "init", "-q", "-b", "main")
    git(place, "config", "user.useConfigOnly", "true")
    (place / "dvc.yaml").write_text("stages: {}\n")
    (place / "params.yaml").write_text("seed: 0\n")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=place, check=True)
    git(place, "add", "-A")
    git(place, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "a project")
    return place


def save(root: Path, name: str, params: str) -> str:
    (root / "params.yaml").write_text(params)
    (root / "dvc.lock").write_text(f"schema: '2.0'\n# {name}\n")
    return experiments.save(root, base=commit_of(root, "HEAD"), name=name, message=name)


def test_dvc_lists_what_was_saved_and_shows_its_settings(root: Path) -> None:
    first, second = save(root, "first", "seed: 1\n"), save(root, "second", "seed: 2\n")
    git(root, "checkout", "-q", "--", "params.yaml")
    assert experiments.experiments(root) == {"first": first, "second": second}
    dvc = [sys.executable, "-m", "dvc", "exp"]
    listed = subprocess.run([*dvc, "list", "--name-only"], cwd=root, capture_output=True, text=True, check=True)
    assert sorted(listed.stdout.split()) == ["first", "second"]
    assert git(root, "show", f"{second}:params.yaml") == "seed: 2"
    assert git(root, "log", "-1", "--format=%an %P", second) == f"headstart {commit_of(root, 'HEAD')}"
    assert git(root, "status", "--porcelain") == "?? dvc.lock", "neither the branch nor the index moved"


def test_a_name_is_one_runs_alone_also_where_several_come_at_once(root: Path) -> None:
    (root / "params.yaml").write_text("seed: 3\n")
    base = commit_of(root, "HEAD")

    def try_it(number: int) -> str:
        try:
            return experiments.save(root, base=base, name="same", message=str(number))
        except UserError as error:
            return str(error)

    with ThreadPoolExecutor(4) as executor:
        said = list(executor.map(try_it, range(4)))
    assert sum(word.startswith("there is an experiment same already") for word in said) == 3
    assert experiments.experiments(root)["same"] in said


@pytest.mark.parametrize("name", ["a b", "a/b", "-x", "x..y", "x.lock", ""])
def test_what_git_takes_for_no_ref_is_no_name(root: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot be the name of an experiment; use letters, digits"):
        experiments.check_name(root, name)


def test_equal_settings_are_found_again_whatever_the_lock_says(root: Path) -> None:
    save(root, "first", "seed: 1\n")
    save(root, "second", "seed: 2\n")
    base = commit_of(root, "HEAD")
    (root / "dvc.lock").write_text("schema: '2.0'\n")
    assert experiments.same_as(root, base=base) == "second"
    (root / "params.yaml").write_text("seed: 1\n")  # as many bytes, perhaps in the same second
    assert experiments.same_as(root, base=base) == "first"
    (root / "params.yaml").write_text("seed: 3\n")
    assert experiments.same_as(root, base=base) == ""
