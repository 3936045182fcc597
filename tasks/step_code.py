"""Which source files a step runs, and their digests: results depend on them. Needs no DVC."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from ruamel.yaml import YAML

FLOORS = ("headstart", "tasks")  # whose code results depend on
AFTER_CELLS = ("headstart/prediction/", "tasks/deliver.py")  # how fast a delivered model is, is no part of its cell


def fingerprint(root: Path) -> dict[str, str]:
    """sha256 of every source file of the two lower floors, by path relative to the root."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for floor in FLOORS
        for path in (root / floor).rglob("*.py")
    }


def code_files(root: Path, name: str) -> list[str]:
    """Source files that a step (such as finetune@full) declares in dvc.yaml, relative to the root."""
    step, _, item = name.partition("@")
    stage = YAML(typ="safe").load(root / "dvc.yaml")["stages"][step]
    deps = [dep.replace("${item}", item) for dep in (stage.get("do") or stage).get("deps", [])]
    folders = [root / dep for dep in deps if dep.split("/")[0] in FLOORS and not dep.endswith(".py")]
    inside = [path.relative_to(root).as_posix() for folder in folders for path in folder.rglob("*.py")]
    return sorted([dep for dep in deps if dep.endswith(".py")] + inside)


def code_digest(root: Path, name: str, files: dict[str, str] | None = None) -> str:
    """Digest of the code that a step declares. files: a fingerprint taken earlier; that of now by default."""
    return _code_digest(code_files(root, name), fingerprint(root) if files is None else files)


def cells_digest(root: Path, name: str, files: dict[str, str] | None = None) -> str:
    """The same without what a step only does with finished cells: an edit of that trains none of them again."""
    paths = [path for path in code_files(root, name) if not path.startswith(AFTER_CELLS)]
    return _code_digest(paths, fingerprint(root) if files is None else files)


def _code_digest(paths: Sequence[str], known: Mapping[str, str]) -> str:
    lines = [f"{path} {known.get(path, 'missing')}\n" for path in paths]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def params_digest(root: Path) -> str:
    """sha256 of params.yaml as it is now."""
    return hashlib.sha256((root / "params.yaml").read_bytes()).hexdigest()
