"""What `headstart init` does: it makes a project of a folder, and leaves what is there as it is."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from headstart.datasets.table import DATASETS
from headstart.errors import HeadstartError, SettingsError, UserError
from headstart.settings import load, write_default
from headstart.storage.publish import write_text
from tasks.git import git, top_level
from tasks.project.code_lock import pipeline_text, update
from tasks.step_code import FLOORS, RECORD, runs_installed_code

INIT_SECONDS = 120.0  # that `dvc init` has
HERE = Path(__file__).parent
MADE = ("packs", "models", "features", "reports")  # folders that steps write, and replace
IGNORED = ("new", "predictions", "build")  # what `headstart serve` and its deployment predict read and write
NOT_GITS = [*(f"/{name}/" for name in (*MADE, *IGNORED)), ".headstart/", ".venv/", "__pycache__/"]
NOT_DVCS = [".headstart", ".venv", "__pycache__", "*.tmp-*"]
ONLY_NAMES = ["/*", "!/*.dvc", "!/.gitignore", "!/README.md"]  # of data/: content is DVC's, git has what names it
LINKS = '[cache]\n    type = "reflink,hardlink,symlink,copy"\n'  # of .dvc/config: no second copy on the disk


@dataclass(frozen=True)
class Created:
    """A project, as init leaves it.

    made, kept: its parts, relative to the root, that init wrote, or found there and left. changed: the steps whose code
    is another than code.lock had; None where the project is new.
    """

    root: Path
    made: list[str]
    kept: list[str]
    changed: list[str] | None


def create(folder: Path) -> Created:
    """Makes a project of a folder: a new one, a git repository, or a part of one. Once more brings it up to date.

    Raises:
        UserError: the folder cannot be one; nothing was written.
    """
    root = folder.expanduser().resolve()
    again = runs_installed_code(root)
    _check(root, again)
    try:
        there = {name for name in _parts() if (root / name).exists()}
        root.mkdir(parents=True, exist_ok=True)
        _make_repositories(root)
        changed = update(root)
        if not (root / "params.yaml").exists():
            write_default(root / "params.yaml")
        _place("deployments.yaml", root / "prefect.yaml")
        _place("datasets.md", root / "data" / "README.md")
        own_files = (root / "data").is_dir() and git(root, "ls-files", "data", ":!data/*.dvc", ":!data/.gitignore")
        _add_lines(root / "data" / ".gitignore", [f"/{name}" for name in DATASETS.names()] if own_files else ONLY_NAMES)
        _add_lines(root / ".gitignore", NOT_GITS)
        _add_lines(root / ".dvcignore", NOT_DVCS)
    except OSError as error:
        raise UserError(f"{error.filename or root} cannot be written: {error.strerror}") from None
    made = [name for name in _parts() if name not in there]
    return Created(root, made, sorted(there), changed if again else None)


def _parts() -> list[str]:
    return ["dvc.yaml", "params.yaml", "prefect.yaml", "data", RECORD, ".gitignore", ".dvcignore", ".dvc"]


def _check(root: Path, again: bool) -> None:
    below = f"make the project in a folder below: headstart init {root / 'transfer'}"
    if root.exists() and not root.is_dir():
        raise UserError(f"{root} is a file; give a folder, new or not")
    if all((root / floor / "__init__.py").is_file() for floor in (*FLOORS, "flows")):
        raise UserError(f"{root} is a checkout of Headstart itself, which is a project already: `headstart run` there")
    pipeline_text(root / "dvc.yaml")
    if again:
        return
    full = [name for name in MADE if (root / name).is_dir() and any((root / name).iterdir())]
    if full:
        raise UserError(f"{root} has a folder {full[0]} already, which steps would write into and replace; {below}")
    if (root / "params.yaml").is_file():
        try:
            load(root / "params.yaml")
        except SettingsError as error:
            first = str(error).splitlines()[0]
            raise UserError(f"{root} has a params.yaml that is not Headstart's ({first}); {below}") from None


def _make_repositories(root: Path) -> None:
    """git's and DVC's, where there are none. DVC's is the project's own, also in a part of a git repository."""
    try:
        top_level(root)
    except UserError:
        git(root, "init", "--quiet")
    if (root / ".dvc").is_dir():
        return
    command = [sys.executable, "-m", "dvc", "init", "--quiet", "--subdir"]
    env = os.environ | {"DVC_NO_ANALYTICS": "1"}
    try:
        done = subprocess.run(
            command, cwd=root, env=env, capture_output=True, text=True, check=False, timeout=INIT_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise HeadstartError(
            f"`dvc init` did not end within {INIT_SECONDS:g} s in {root} and was stopped; does the disk answer?"
        ) from None
    if done.returncode:
        raise HeadstartError(f"DVC cannot be set up in {root}: {done.stderr.strip() or done.stdout.strip()}")
    (root / ".dvc" / "config").write_text(LINKS, encoding="utf-8")


def _place(name: str, path: Path) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(HERE / name, path)


def _add_lines(path: Path, lines: list[str]) -> None:
    """Adds what a file of ignored names lacks."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    missing = [line for line in lines if line not in text.splitlines()]
    if missing:
        write_text(path, text + "\n" * bool(text and not text.endswith("\n")) + "\n".join(missing) + "\n")
