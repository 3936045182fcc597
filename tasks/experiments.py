"""Experiments of DVC made by git's plumbing, so that several runs at once each stand under their own name.

Not by `dvc exp save`: two at once died, and four at once put one run's settings under another's name (measured).
An experiment is a commit whose parent is the commit it started from, named by a ref of the layout that DVC reads.
"""

from pathlib import Path

from headstart.errors import UserError
from tasks.git import GitError, commit_of, commit_tree, git, tree_of_files

REFS = "refs/exps"
NOT_RUNS = ("stash", "apply", "celery", "exec", "temp")  # DVC's own below REFS
NONE_YET = "0" * 40


def save(root: Path, *, base: str, name: str, message: str) -> str:
    """Makes the files of a checkout, which started from the commit `base`, an experiment; returns its commit.

    What git ignores is left out: dvc.lock names it.

    Raises:
        UserError: there is an experiment of that name by now.
    """
    commit = commit_tree(root, tree_of_files(root), parent=base, message=message)
    try:
        git(root, "update-ref", ref_of(base, name), commit, NONE_YET)
    except GitError:
        check_name(root, name)
        raise
    return commit


def check_name(root: Path, name: str) -> None:
    """Refuses a name that git does not take for a ref, and one that an experiment has already.

    Raises:
        UserError: see above.
    """
    try:
        git(root, "check-ref-format", ref_of("a" * 40, name))
    except GitError:
        name_is_good = False
    else:
        name_is_good = "/" not in name and not name.startswith("-")
    if not name_is_good:
        raise UserError(f"{name!r} cannot be the name of an experiment; use letters, digits, dots, - and _")
    if name in experiments(root):
        raise UserError(f"there is an experiment {name} already; choose another name, or `dvc exp remove {name}` first")


def experiments(root: Path) -> dict[str, str]:
    """Commit of each experiment by name, the newest first."""
    form = "--format=%(refname) %(objectname)"
    lines = git(root, "for-each-ref", form, "--sort=-committerdate", REFS).splitlines()
    found: dict[str, str] = {}
    for line in lines:
        ref, commit = line.split(" ")
        parts = ref.split("/")
        if len(parts) == 5 and parts[2] not in NOT_RUNS:
            found.setdefault(parts[4], commit)
    return found


def ref_of(base: str, name: str) -> str:
    """Where DVC looks for an experiment that started from a commit."""
    return f"{REFS}/{base[:2]}/{base[2:]}/{name}"


def same_as(root: Path, *, base: str) -> str:
    """The newest experiment from `base` with the settings, code and data of this checkout, "" where there is none.

    dvc.lock is not compared: it follows from them, in an order of its own.
    """
    tree = tree_of_files(root)
    for name, commit in experiments(root).items():
        differ = git(root, "diff", "--name-only", "--relative", commit, tree).splitlines()
        if set(differ) <= {"dvc.lock"} and commit_of(root, f"{commit}^") == base:
            return name
    return ""
