"""What `headstart doctor` looks through, and what it can put right: files that are damaged, and what killed runs left.

A damaged file is put back from DVC's cache or remote. What neither has is made anew by the next run, but for a dataset
of the user's own, which is named as lost.
"""

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.errors import IntegrityError
from headstart.storage.publish import MANIFEST, sweep, verify, write_bytes
from tasks import worktrees
from tasks.integrity import LISTS, Recorded, damaged, damaged_objects, name_of, recorded_files
from tasks.tracking import has_store, open_tracking
from tasks.versioning import is_step, versioning_of
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.repo import Repo

PUBLISHED = ("packs", "models", "features", "reports")


@dataclass
class Damage:
    """A damaged file. path: as a person looks for it. done: what repair did of it, "" before. lost: nothing has it."""

    path: str
    what: str
    done: str = ""
    lost: bool = False


@dataclass
class Findings:
    """What was looked at and what was wrong.

    files: how many were read. edited: how many of them have another date or size than DVC knows, and another content.
    damages: what is not what was recorded. closed: MLflow runs whose process is gone. swept: worktrees and half-written
    files of processes that are gone.
    """

    files: int = 0
    edited: int = 0
    damages: list[Damage] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    swept: list[str] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        return all(damage.done and not damage.lost for damage in self.damages)


def examine(workspace: Workspace, *, repair: bool) -> Findings:
    """Looks through the workspace, which this process holds. What killed runs left is tidied in any case.

    repair: whether damaged files are put right too.
    """
    findings = Findings()
    _tidy(workspace, findings)
    _look_at_cells(workspace, findings, repair)
    with versioning_of(workspace.root).opened() as repo:
        _look_at_dvcs(workspace, repo, findings, repair)
    return findings


def lines(findings: Findings, *, repair: bool) -> list[str]:
    """What a person reads of it."""
    said = [f"MLflow run {run[:8]} was running without a process: closed as KILLED" for run in findings.closed]
    said += [f"{name}: left by a process that is gone, removed" for name in findings.swept]
    said += [f"{damage.path}: {damage.what}{f'; {damage.done}' if damage.done else ''}" for damage in findings.damages]
    if findings.edited:
        said.append(f"{findings.edited:,} files were edited since DVC saw them: `dvc status` names what they belong to")
    lost = sum(damage.lost for damage in findings.damages)
    if not findings.damages:
        said.append(f"{findings.files - findings.edited:,} files are what was recorded of them")
    elif not repair:
        said.append(
            f"{len(findings.damages)} of {findings.files:,} files are damaged: `headstart doctor --repair` puts back "
            "what DVC's cache or remote has, and has the rest made anew"
        )
    elif lost:
        said.append(f"{lost} of {len(findings.damages)} damaged files are lost; the rest is put right")
    else:
        said.append(f"{len(findings.damages)} damaged files are put right; `headstart run` makes anew what is missing")
    return said


def _tidy(workspace: Workspace, findings: Findings) -> None:
    if has_store(workspace.state):
        findings.closed = open_tracking(workspace.state).close_orphans()
    findings.swept = worktrees.sweep(workspace)
    for folder in (*(workspace.root / name for name in PUBLISHED), workspace.cells):
        findings.swept += [_shown(path, workspace) for path in sweep(folder)]


def _look_at_cells(workspace: Workspace, findings: Findings, repair: bool) -> None:
    """Finished cells and checkpoints, which DVC does not know: a damaged one is computed anew."""
    for manifest in sorted(workspace.cells.rglob(MANIFEST)):
        try:
            findings.files += len(verify(manifest.parent)) + 1
        except IntegrityError as error:
            what = str(error).partition(";")[0].replace(f"{manifest.parent}/", "")
            damage = Damage(_shown(manifest.parent, workspace), what)
            findings.damages.append(damage)
            if repair:
                shutil.rmtree(manifest.parent)
                damage.done = "removed: it is computed anew where it is needed"


def _look_at_dvcs(workspace: Workspace, repo: "Repo", findings: Findings, repair: bool) -> None:
    """DVC's cache, and the outputs and datasets of the workspace."""
    cache = Path(repo.cache.local.path)
    findings.files += sum(1 for _ in cache.glob("??/*"))
    objects = {path: Damage(_shown(path, workspace), "is not what its name says") for path in damaged_objects(cache)}
    findings.damages += objects.values()
    wrong: list[tuple[Output, Recorded, Damage]] = []
    for out in repo.index.outs:
        files = recorded_files(out) or []
        findings.files += len(files)
        for file in damaged(files):
            if _is_edited(repo, out, file):
                findings.edited += 1
            else:
                damage = Damage(_shown(file.path, workspace), f"is not what {_recorder(out)} has of it")
                wrong.append((out, file, damage))
                findings.damages.append(damage)
    if not repair:
        return
    for path in objects:
        path.unlink()
    _fill_cache(repo, objects)
    for out, file, damage in wrong:
        _put_right(out, file, damage, repo)
    for path, damage in objects.items():
        damage.done = (
            "put back" if path.is_file() else "removed: of an earlier result, which is made anew if it is asked for"
        )


def _fill_cache(repo: "Repo", objects: Iterable[Path]) -> None:
    """Puts objects that were removed back, from the workspace where it has the bytes, else from DVC's remote."""
    missing = {name_of(path): path for path in objects if not path.name.endswith(LISTS)}
    for out in repo.index.outs:
        if out.use_cache and not Path(out.cache.oid_to_path(out.hash_info.value or "")).is_file() and out.exists:
            out.commit()  # a listing is made anew of what is there, and the files that it names with it
        for file in recorded_files(out) or []:
            if file.md5 in missing and file.path.is_file() and not damaged([file]):
                _copy(file.path, missing[file.md5])
    _pull(repo, [path for path in objects if not path.is_file()])


def _pull(repo: "Repo", objects: list[Path]) -> None:
    from dvc.config import ConfigError
    from dvc.exceptions import DvcException
    from dvc_data.hashfile.hash_info import HashInfo

    wanted = {HashInfo("md5", name_of(path) + LISTS * path.name.endswith(LISTS)) for path in objects}
    if wanted:
        with suppress(ConfigError, DvcException, OSError):  # no remote, or it does not answer: then it is made anew
            repo.cloud.pull(wanted)


def _put_right(out: "Output", file: Recorded, damage: Damage, repo: "Repo") -> None:
    """A damaged file of the workspace: from the cache or remote, else it goes, for its step to make it anew."""
    place = Path(out.cache.oid_to_path(file.md5))
    if not place.is_file():
        _pull(repo, [place])
    if place.is_file() and not damaged([Recorded(place, file.md5)]):
        file.path.unlink()
        _copy(place, file.path)
        damage.done = "put back from DVC's cache"
    elif is_step(out.stage):
        file.path.unlink()
        damage.done = "removed: the next run makes it anew"
    else:
        damage.lost = True
        damage.done = (
            f"lost: neither DVC's cache nor a remote has it. Put a copy of yours there, or take it out, and run "
            f"`dvc add {out.def_path if os.sep in str(out.def_path) else Path('data') / out.def_path}`"
        )


def _is_edited(repo: "Repo", out: "Output", file: Recorded) -> bool:
    """Whether someone wrote the file since DVC looked: then its date or size is another, and DVC sees it."""
    _, known = repo.state.get(str(file.path), out.fs)
    return known is None or known.value != file.md5


def _recorder(out: "Output") -> str:
    return "dvc.lock" if is_step(out.stage) else f"{Path(out.stage.path).name}"


def _copy(origin: Path, path: Path) -> None:
    """A copy that appears whole; an object of the cache is read-only, as DVC has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, origin.read_bytes())
    if "cache" in path.parts:
        path.chmod(0o444)


def _shown(path: Path, workspace: Workspace) -> str:
    return os.path.relpath(path, workspace.root)
