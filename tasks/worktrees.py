"""Worktrees: a run that a schedule or a page starts has a checkout of its own. git worktrees are known here alone.

They lie in `.headstart/worktrees/` and share DVC's cache and the state of the main checkout, which is not touched.
"""

import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil

from headstart.errors import UserError
from headstart.storage.publish import write_json
from tasks.children import end_marked
from tasks.git import SECONDS as GIT_SECONDS
from tasks.git import GitError, commit_of, git, top_level, tree_of_files
from tasks.locks import held
from tasks.workspace import CELLS, STATE, Workspace
from tasks.worktree_data import checkout, share_cache

LOCK_SECONDS = 2 * GIT_SECONDS  # two calls of git are made while it is held
MARK = "HEADSTART_WORKTREE"  # in the environment of all processes of a worktree's run: its folder


@contextmanager
def opened(main: Workspace, *, revision: str = "HEAD", uncommitted: bool = False) -> Iterator[Workspace]:
    """A checkout of a revision with its data, beside the main one; it goes with the block, and what still runs in it.

    uncommitted: with the main checkout's edits and untracked files; its index stays as it is.

    Raises:
        UserError: no commit yet, an unknown revision, no git; or edits are asked for with another revision than HEAD.
    """
    commit = commit_of(main.root, revision)
    if uncommitted and commit != commit_of(main.root, "HEAD"):
        raise UserError(f"uncommitted edits belong to HEAD, not to {revision}; leave out one of the two")
    tree = tree_of_files(main.root) if uncommitted else ""
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    folder = _folder(main) / name
    try:
        with _lock(main):
            _claim(folder)
            git(main.root, "worktree", "add", "--quiet", "--detach", str(folder), commit)
            if tree:
                git(folder, "read-tree", "-u", "--reset", tree)
        yield _equipped(main, folder)
    finally:
        _remove(main, folder)


def environment(worktree: Workspace) -> dict[str, str]:
    """The variables with which a process runs the worktree's code over the main checkout's state.

    Prefect's and MLflow's addresses, and whatever else is set, go along. A project of one's own runs what is installed.
    """
    path = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    if not worktree.runs_installed_code:
        path = [str(worktree.root), *(part for part in path if not _is_project(Path(part)))]
    own = {
        "PYTHONPATH": os.pathsep.join(path),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        STATE: str(worktree.state),
        MARK: str(top_level(worktree.root)),
    }
    cells = {CELLS: str(worktree.cells_of_its_own)} if worktree.cells_of_its_own else {}
    return dict(os.environ) | own | cells


def at_work(main: Workspace) -> dict[Path, psutil.Process]:
    """The worktrees that belong to a process which is there, oldest first, and that process; no lock is asked."""
    found = {path.with_suffix(""): _owner(path) for path in sorted(_folder(main).glob("*.json"))}
    return {folder: process for folder, process in found.items() if process}


def sweep(main: Workspace) -> list[str]:
    """Removes the worktrees whose process is gone, and what it started that still runs; returns their names."""
    swept = []
    for path in sorted(_folder(main).glob("*.json")):
        if not _owner(path):
            _remove(main, path.with_suffix(""))
            swept.append(path.stem)
    if swept:
        with _lock(main), suppress(GitError):
            git(main.root, "worktree", "prune")
    return swept


def _equipped(main: Workspace, folder: Path) -> Workspace:
    """The project in the new worktree, with DVC's cache and its data. It may be a part of what git versions."""
    root = folder / main.root.resolve().relative_to(top_level(main.root).resolve())
    _ignore(root / ".headstart")
    share_cache(main.root, root)
    checkout(root)
    return Workspace(root, shared=main.state.resolve())


def _folder(main: Workspace) -> Path:
    return main.state.resolve() / "worktrees"


def _claim(folder: Path) -> None:
    """Says, before there is a worktree, which process it belongs to."""
    _ignore(folder.parent)
    process = psutil.Process()
    write_json(folder.with_suffix(".json"), {"pid": process.pid, "started": process.create_time()})


def _ignore(folder: Path) -> None:
    """Keeps a folder out of git whatever the project's .gitignore says; a worktree would be a repository in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")


def _owner(path: Path) -> psutil.Process | None:
    """The process that a claim names; None where it is gone, or another has its number now."""
    try:
        claim = json.loads(path.read_text())
        process = psutil.Process(claim["pid"])
        return process if abs(process.create_time() - claim["started"]) < 1 else None
    except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
        return None


def _remove(main: Workspace, folder: Path) -> None:
    end_marked(MARK, str(folder))
    with _lock(main):
        with suppress(GitError):
            git(main.root, "worktree", "remove", "--force", "--force", str(folder))
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_suffix(".json").unlink(missing_ok=True)


def _lock(main: Workspace) -> AbstractContextManager[None]:
    path = main.state / "locks" / "worktrees.lock"
    return held(path, seconds=LOCK_SECONDS, what="making or removing a git worktree")


def _is_project(path: Path) -> bool:
    """Whether a folder of PYTHONPATH has another copy of this project's code."""
    return (path / "dvc.yaml").is_file() and (path / "flows").is_dir()
