"""git, called as a command: what worktrees, experiments and the record of a run stand on."""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from headstart.errors import HeadstartError, UserError

OWN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")  # set by hooks, and meant for another repository
NOBODY = {"NAME": "headstart", "EMAIL": "headstart@localhost"}
SECONDS = 600.0  # that one call has
QUIET = ("-c", "core.hooksPath=/dev/null")  # `dvc install` puts a hook there that checks out after git does


class GitError(HeadstartError):
    """git refused what it was asked for."""


def git(root: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """What git prints when it is run in `root`, without the last line's end.

    Raises:
        UserError: there is no git on this machine.
        GitError: it ended with another code than 0; its words are in the message.
    """
    surroundings = {name: value for name, value in os.environ.items() if name not in OWN} | dict(env or {})
    try:
        done = subprocess.run(
            ["git", *QUIET, *arguments],
            cwd=root,
            env=surroundings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise GitError(
            f"git {' '.join(arguments[:2])} did not end within {SECONDS:g} s in {root} and was stopped; does the disk "
            "answer, and does git ask for something? Try it by hand"
        ) from None
    except FileNotFoundError:
        raise UserError("git is not on this machine's PATH; install it (such as `apt-get install git`)") from None
    if done.returncode:
        raise GitError(f"git {' '.join(arguments[:2])} failed in {root}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.rstrip("\n")


def top_level(root: Path) -> Path:
    """The folder that git versions, which the project may be a part of.

    Raises:
        UserError: the project is not in git.
    """
    try:
        return Path(git(root, "rev-parse", "--show-toplevel"))
    except GitError:
        raise UserError(f"{root} is not in git; run `git init && git add -A && git commit` there") from None


def commit_of(root: Path, revision: str) -> str:
    """The full name of the commit that a branch, a tag, HEAD or the beginning of a name stands for.

    Raises:
        UserError: there is no such commit, or none at all yet.
    """
    top_level(root)
    try:
        return git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except GitError:
        pass
    if revision == "HEAD":
        raise UserError(
            f"{root} has no commit yet, and a run takes its code from one; run `git add -A && git commit` there"
        )
    raise UserError(f"git knows no revision {revision!r} here; give a branch, a tag or a commit (`git log --oneline`)")


def tree_of_files(root: Path) -> str:
    """Writes the files of a checkout as they are now, untracked ones too, to git as a tree, and gives its name.

    The checkout's own index stays as it is.
    """
    with tempfile.TemporaryDirectory(prefix="headstart-") as scratch:
        env = {"GIT_INDEX_FILE": str(Path(scratch, "index"))}
        # Not a copy of its index: that takes an edit of equal size, in the second of the checkout, for none.
        git(root, "read-tree", "HEAD", env=env)
        git(root, "add", "--all", "--", ":/", env=env)
        return git(root, "write-tree", env=env)


def commit_tree(root: Path, tree: str, *, parent: str, message: str) -> str:
    """Makes a commit of a tree, on no branch; returns its name. Where git knows no author, Headstart is it."""
    try:
        git(root, "var", "GIT_COMMITTER_IDENT")
        env = {}
    except GitError:
        env = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in NOBODY.items()}
    return git(root, "commit-tree", tree, "-p", parent, "-m", message, env=env)


def edited(root: Path, paths: tuple[str, ...]) -> list[str]:
    """Files below these paths that no commit has as they are now: changed, removed or untracked ones."""
    there = [path for path in paths if (root / path).exists()]
    if not there:
        return []
    lines = git(root, "status", "--porcelain", "--untracked-files=all", "-z", "--no-renames", "--", *there).split("\0")
    return sorted(line[3:] for line in lines if line)
