"""Which source files a step runs, and their digests: results depend on them. Needs no DVC.

A checkout has the code itself, and its dvc.yaml lists it file by file. A project of one's own runs the code that is
installed: its folder code.lock has a file a step with the digest of that step's code, and dvc.yaml lists that file.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

FLOORS = ("headstart", "tasks")  # whose code results depend on
AFTER_CELLS = ("headstart/prediction/", "tasks/deliver.py")  # how fast a delivered model is, is no part of its cell
SOURCES = (".py", ".j2", ".css")
RECORD = "code.lock"
INSTALLED = Path(__file__).resolve().parents[1]
PIPELINE = Path(__file__).parent / "project" / "pipeline.yaml"


def runs_installed_code(root: Path) -> bool:
    """Whether a project is one that `headstart init` made, and no checkout of Headstart."""
    return (root / RECORD).is_dir()


def fingerprint(root: Path) -> dict[str, str]:
    """sha256 of every source file of the two lower floors, by path relative to the folder that they lie in."""
    place = _place(root)
    return {
        path.relative_to(place).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for floor in FLOORS
        for path in _sources(place / floor)
    }


def code_files(root: Path, name: str) -> list[str]:
    """Source files that a step (such as finetune@full) runs, as dvc.yaml declares them; those of all modalities.

    DVC itself depends on the project's own alone, so that an edit of another one runs nothing again.
    """
    step, _, item = name.partition("@")
    place = _place(root)
    deps = [
        dep.replace("${item}", item).removesuffix("/${data.modality}")
        for dep in declared(stages_of(_pipeline(root))[step])
    ]
    folders = [place / dep for dep in deps if not Path(dep).suffix]
    inside = [path.relative_to(place).as_posix() for folder in folders for path in _sources(folder)]
    return sorted([dep for dep in deps if Path(dep).suffix] + inside)


def declared(stage: Mapping[str, Any]) -> list[str]:
    """What a stage of dvc.yaml depends on that is code: files of the lower floors, and folders of such."""
    return [dep for dep in (stage.get("do") or stage).get("deps", []) if dep.split("/")[0] in FLOORS]


def stages_of(pipeline: Path) -> dict[str, Any]:
    """The stages of a dvc.yaml by name, as they are written there; not to be changed."""
    return _stages_of(pipeline, pipeline.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _stages_of(pipeline: Path, changed: int) -> dict[str, Any]:
    stages: dict[str, Any] = YAML(typ="safe").load(pipeline)["stages"]
    return stages


def code_digest(root: Path, name: str, files: dict[str, str] | None = None) -> str:
    """Digest of the code that a step declares. files: a fingerprint taken earlier; that of now by default."""
    return _code_digest(code_files(root, name), fingerprint(root) if files is None else files)


def cells_digest(root: Path, name: str, files: dict[str, str] | None = None) -> str:
    """The same without what a step only does with finished cells: an edit of that trains none of them again."""
    paths = [path for path in code_files(root, name) if not path.startswith(AFTER_CELLS)]
    return _code_digest(paths, fingerprint(root) if files is None else files)


def _sources(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix in SOURCES]


def _place(root: Path) -> Path:
    return INSTALLED if runs_installed_code(root) else root


def _pipeline(root: Path) -> Path:
    return PIPELINE if runs_installed_code(root) else root / "dvc.yaml"


def _code_digest(paths: Sequence[str], known: Mapping[str, str]) -> str:
    lines = [f"{path} {known.get(path, 'missing')}\n" for path in paths]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def params_digest(root: Path) -> str:
    """sha256 of params.yaml as it is now."""
    return hashlib.sha256((root / "params.yaml").read_bytes()).hexdigest()
