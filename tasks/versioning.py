"""The seam to DVC: one cache for both drivers. Beside it DVC is known to remote_inputs, worktree_data and links alone.

A step is unchanged, or its result is in DVC's run-cache, or it runs; afterwards dvc.lock says what ran. These are
DVC's internals, so dvc is pinned exactly and tests/repro/test_versioning.py holds each call to what it does here.
"""

import hashlib
import json
import logging
import os
import shutil
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ruamel.yaml import YAML

from headstart.errors import BusyError, HeadstartError, IntegrityError, UserError
from headstart.storage.disk import naming_the_disk
from headstart.storage.publish import withdraw, write_text
from tasks.integrity import damaged, recorded_files
from tasks.links import copy, link, try_reflinks_once
from tasks.step_code import cells_digest, code_files, fingerprint

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import PipelineStage

log = logging.getLogger("headstart")

STEP_SECONDS = 24 * 3600.0  # that a run waits for another one that is at the same step
DVC_SECONDS = 600.0  # that it waits for a dvc command to end

Outcome = Literal["unchanged", "restored", "ran"]
State = Literal["up to date", "changed", "follows"]


@dataclass(frozen=True)
class Result:
    """What became of a step: whether it ran, and the digest of its outputs as DVC records them."""

    outcome: Outcome
    digest: str


class Versioning:
    """DVC's view of a workspace, for one process.

    The digests of the code are taken when it is made: what a step ran with must be what dvc.lock says.
    """

    def __init__(self, root: Path):
        os.environ.setdefault("DVC_NO_ANALYTICS", "1")
        self.root = root
        self._repo = open_repo(root)
        self._at_start = fingerprint(root)
        self._data: dict[Path, str] = {}  # DVC's digests of datasets, which take it half a second to find

    def stages(self) -> list[str]:
        """Names of all steps of the pipeline, in the order of dvc.yaml, which they can run in."""
        return [_name(stage) for stage in self._repo.index.stages if is_step(stage)]

    def changed(self) -> list[str]:
        """Names of the steps that would not be skipped; empty when the pipeline is as dvc.lock says."""
        with quiet(), self._locked():
            self._reload()
            return [_name(stage) for stage in self._repo.index.stages if stage.changed()]

    def affected(self) -> list[str]:
        """Names of the steps that may run: the changed ones and those that depend on them, in the order of stages()."""
        import networkx

        changed = self.changed()
        graph = self._repo.index.graph  # edges go from a step to what it depends on
        begun = [stage for stage in graph if _name(stage) in changed]
        found = {_name(stage) for first in begun for stage in (first, *networkx.ancestors(graph, first))}
        return [name for name in self.stages() if name in found]

    def states(self) -> dict[str, State]:
        """Every step's state, in the order of stages(); "follows" is one that only depends on a changed one."""
        import networkx

        with quiet(), self._locked():
            self._reload()
            graph = self._repo.index.graph
            order = list(self._repo.index.stages)
            changed = {stage for stage in order if stage.changed()}
            following = {stage for first in changed for stage in networkx.ancestors(graph, first)}
            return {
                _name(stage): "changed" if stage in changed else "follows" if stage in following else "up to date"
                for stage in order
                if is_step(stage)
            }

    def ensure(self, name: str, run: Callable[[], None]) -> Result:
        """Brings a step's outputs up to date: skips it, restores it, or removes its outputs and calls `run`.

        Raises:
            HeadstartError: its code was edited since this process started, or settings, code or inputs while it ran;
                nothing is recorded.
            UserError: there is no such step, or an input is missing.
        """
        with quiet(), self._locked():
            stage = self._load(name)
            self._check_inputs(stage)
            if not stage.changed():
                return Result("unchanged", _digest(stage))
            _remove_outputs(stage)
            if self._restore(stage):
                return Result("restored", _digest(stage))
            if edited := self._edited_code(stage):
                raise HeadstartError(
                    f"{', '.join(edited)} was edited since this run began. Run again, with it as it is"
                )
            before = self._inputs(stage)
        with self._alone(name, before) as waited:
            if waited and (restored := self._restored_by_now(name)):
                return restored
            run()
            with quiet(), self._locked():
                stage = self._load(name)
                self._refuse_edits(stage, before)
                self._record(stage)
                return Result("ran", _digest(stage))

    def restore(self) -> list[str]:
        """Restores whatever DVC's run-cache has for settings, data and code of now; returns what is still to run."""
        with quiet(), self._locked():
            self._reload()
            for stage in [stage for stage in self._repo.index.stages if is_step(stage)]:
                if stage.changed() and all(dep.exists for dep in stage.deps if not _is_params(dep)):
                    _remove_outputs(stage)
                    self._restore(stage)
        return self.affected()

    def recorded_files(self) -> dict[str, dict[str, str]]:
        """md5 of each file that each step made, by step and path, as dvc.lock and DVC's cache have it.

        Raises:
            UserError: dvc.lock lacks a step, or the cache the listing of a folder.
        """
        with quiet(), self._locked():
            self._reload()
            return {_name(stage): self._listed(stage) for stage in self._repo.index.stages if is_step(stage)}

    def recorded_text(self, path: str) -> str | None:
        """What a file said whose md5 is in dvc.lock; None where DVC's cache has it no more."""
        for out in self._repo.index.outs:
            if os.path.relpath(out.fs_path, self.root) == path and out.hash_info:
                cached = Path(out.cache.oid_to_path(out.hash_info.value))
                return cached.read_text(encoding="utf-8") if cached.is_file() else None
        return None

    def _listed(self, stage: "PipelineStage") -> dict[str, str]:
        found: dict[str, str] = {}
        for out in stage.outs:
            if not out.hash_info:
                raise UserError(f"dvc.lock has no record of step {_name(stage)}: that run did not come to its end")
            files = recorded_files(out)
            if files is None:
                raise UserError(
                    f"DVC's cache has no listing of {os.path.relpath(out.fs_path, self.root)} as it was then; fetch it "
                    "with `dvc fetch`, if it was pushed"
                )
            found |= {os.path.relpath(file.path, self.root): file.md5 for file in files}
        return found

    @contextmanager
    def _alone(self, name: str, inputs: Mapping[str, Any]) -> Iterator[bool]:
        """Holds the step with these inputs against worktrees that share the cache; yields whether it had to wait."""
        from filelock import FileLock, Timeout

        from tasks.locks import held

        key = hashlib.sha256(json.dumps([name, inputs], sort_keys=True, default=str).encode()).hexdigest()
        folder = Path(self._repo.cache.legacy.path) / "at-work"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{key[:3]}.lock"  # never removed, so there are not to be too many of them
        lock = FileLock(path, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("%s: another run is at work on the same; waiting for its result", name)
            with held(path, seconds=STEP_SECONDS, what=f"at work on {name}"):
                yield True
            return
        try:
            yield False
        finally:
            lock.release()

    def _restored_by_now(self, name: str) -> Result | None:
        with quiet(), self._locked():
            stage = self._load(name)
            return Result("restored", _digest(stage)) if self._restore(stage) else None

    def result(self, name: str) -> Result:
        """The recorded result of a step, as it stands in dvc.lock."""
        return Result("unchanged", _digest(self._load(name)))

    def cells_digest(self, name: str) -> str:
        """Digest of the code that a step's cells run, as it was when this process started."""
        return cells_digest(self.root, name, self._at_start)

    @contextmanager
    def opened(self) -> Iterator["Repo"]:
        """DVC's own view of the workspace as it is now, held for the length of the block."""
        with quiet(), self._locked():
            self._reload()
            yield self._repo

    def add(self, files: Mapping[str, Path], path: Path, *, texts: Mapping[str, str] | None = None) -> None:
        """Makes the folder `path` of files that lie elsewhere and adds it to DVC; the originals stay as they are.

        files: place below `path` -> file. texts: place below `path` -> content of a file that is written.

        A file comes as a reflink where the file system can, else as a hard link, else as a copy. Measured on ext4 with
        dvc 3.67.1: `dvc add` copies a hard-linked file to its cache, and puts its own read-only link (or a copy) in the
        place of ours: the original keeps its inode and its mode. Not so where cache.type begins with hardlink: then the
        original itself becomes the cache's object, read-only, and an edit of it would corrupt the cache. There, and
        where the cache is on another file system, files are copied.

        Raises:
            UserError: DVC refuses it; nothing is left behind.
        """
        from dvc.exceptions import DvcException

        self._reload()
        try_reflinks_once(Path(self._repo.cache.local.path))
        self._data.pop(path, None)
        path.parent.mkdir(parents=True, exist_ok=True)
        place_file = link if self._may_link(path.parent) else copy
        try:
            for place, origin in files.items():
                (path / place).parent.mkdir(parents=True, exist_ok=True)
                place_file(origin, path / place)
            for place, text in (texts or {}).items():
                (path / place).parent.mkdir(parents=True, exist_ok=True)
                (path / place).write_text(text, encoding="utf-8")
            with quiet():
                self._repo.add(str(path))
            for place, origin in files.items():
                if (path / place).samefile(origin):
                    (path / place).unlink()
                    copy(origin, path / place)
        except (DvcException, OSError) as error:
            raise UserError(f"{path.name} cannot be added to DVC: {error}") from error
        finally:
            if not path.with_name(f"{path.name}.dvc").is_file():
                shutil.rmtree(path, ignore_errors=True)

    def _may_link(self, folder: Path) -> bool:
        """Whether DVC, adding a hard-linked file, leaves the other name of it alone."""
        cache = Path(self._repo.cache.local.path)
        there = next(place for place in (cache, *cache.parents) if place.exists())
        one_disk = there.stat().st_dev == folder.stat().st_dev
        return one_disk and self._repo.cache.local.cache_types[0] != "hardlink"

    def record_datasets(self) -> list[str]:
        """Records datasets that were edited without `dvc add`, as `dvc repro` does; returns their paths."""
        with quiet(), self._locked():
            self._reload()
            edited = [stage for stage in self._repo.index.stages if _is_edited_dataset(stage)]
            for stage in edited:
                self._record(stage)
            return [_name(stage).removesuffix(".dvc") for stage in edited]

    def data_digest(self, path: Path) -> str:
        """DVC's digest of a tracked file or folder, "" where DVC has none yet."""
        if path not in self._data:
            found = [out for out in self._repo.index.outs if Path(out.fs_path) == path and out.hash_info]
            self._data[path] = str(found[0].hash_info.value) if found else ""
        return self._data[path]

    def _restore(self, stage: "PipelineStage") -> bool:
        from dvc.stage.cache import RunCacheNotFoundError

        try:
            # Not after save_deps(): restore() would then take the outputs that dvc.lock lists for those of now.
            self._repo.stage_cache.restore(stage)
        except RunCacheNotFoundError:
            return False
        stage.save()  # what DVC takes it for
        if self._forget_damaged(stage):
            return False
        self._record(stage)
        return True

    def _forget_damaged(self, stage: "PipelineStage") -> bool:
        """Whether DVC's cache gave a step's result back otherwise than it took it; then nothing of that is left."""
        found = [(out, file) for out in stage.outs for file in damaged(recorded_files(out) or [])]
        for out, file in found:
            place = Path(out.cache.oid_to_path(file.md5))
            log.warning(
                "%s is damaged in DVC's cache (%s); step %s runs again",
                os.path.relpath(file.path, self.root),
                os.path.relpath(place, self.root),
                _name(stage),
            )
            place.unlink(missing_ok=True)
        if found:
            _remove_outputs(stage)
        return bool(found)

    def refuse_damaged(self, path: Path) -> None:
        """Looks through a dataset before it is read.

        Raises:
            IntegrityError: a file is not the one that DVC recorded.
        """
        with quiet():  # without DVC's lock: `dvc repro` may be what runs the step
            self._reload()
            outs = [out for out in self._repo.index.outs if Path(out.fs_path) == path]
            found = [file for out in outs for file in damaged(recorded_files(out) or [])]
        if found:
            more = f" and {len(found) - 1} more files are" if len(found) > 1 else " is"
            raise IntegrityError(
                f"{os.path.relpath(found[0].path, self.root)}{more} damaged: not what DVC recorded, and not added anew "
                "since. `headstart doctor --repair` puts back what DVC's cache or remote has"
            )

    def _record(self, stage: "PipelineStage") -> None:
        """Writes what the step read and made to DVC's cache and dvc.lock."""
        try_reflinks_once(Path(self._repo.cache.local.path))
        stage.save()
        stage.commit()
        if is_step(stage):
            self._write_lock(stage)
        else:
            stage.dump(update_pipeline=False)
        for out in stage.outs:
            self._data.pop(Path(out.fs_path), None)

    def _write_lock(self, stage: "PipelineStage") -> None:
        """dvc.lock with the step as it is now: the bytes that DVC writes, whole or not at all, in a fifth of its time.

        DVC parses and writes it by ruamel.yaml's round trip, which took half of what passes between two steps; nobody
        writes comments into dvc.lock.
        """
        from dvc.stage.serialize import to_lockfile

        path = self.root / "dvc.lock"
        yaml = YAML(typ="safe")  # libyaml's
        yaml.default_flow_style = False
        yaml.sort_base_mapping_type_on_output = False
        yaml.representer.add_representer(OrderedDict, type(yaml.representer).represent_dict)
        known = (yaml.load(path.read_text(encoding="utf-8")) if path.exists() else None) or {"schema": "2.0"}
        known["stages"] = {**known.get("stages", {}), **to_lockfile(stage)}
        text = StringIO()
        yaml.dump(known, text)
        write_text(path, text.getvalue())

    def _wait_for_dvc(self) -> None:
        """Returns when no dvc command holds the repository; DVC itself would wait for ever.

        Raises:
            LockError: one does, for longer than DVC_SECONDS.
        """
        from dvc.lock import LockError

        lock, end = self._repo.lock, time.monotonic() + DVC_SECONDS
        while not self._repo._lock_depth:
            lock._wait = False
            try:
                with lock:
                    return
            except LockError:
                if time.monotonic() > end:
                    raise
            finally:
                lock._wait = True

    def _load(self, name: str) -> "PipelineStage":
        from dvc.exceptions import DvcException

        self._reload()
        try:
            return self._repo.stage.load_one(path=str(self.root / "dvc.yaml"), name=name)  # type: ignore[no-any-return]
        except DvcException as error:
            raise UserError(f"dvc.yaml has no step {name!r}: {error}") from None

    def _reload(self) -> None:
        """Forgets what was read from dvc.yaml, dvc.lock and params.yaml; the files may have moved on."""
        self._repo._reset()

    def _check_inputs(self, stage: "PipelineStage") -> None:
        for dep in stage.deps:
            if not dep.is_in_repo or not dep.fs_path or dep.exists or _is_params(dep):
                continue
            relative = os.path.relpath(dep.fs_path, self.root)
            raise UserError(
                f"step {_name(stage)} needs {relative}, which is not there; if it is a dataset, put a folder of "
                f"class folders there and run `dvc add {relative}`, or fetch it with `dvc pull {relative}`"
            )

    def _inputs(self, stage: "PipelineStage") -> dict[str, Any]:
        """What a step reads, by name: digests of files, values of settings; as found by save_deps() or restore()."""
        found: dict[str, Any] = {}
        for dep in stage.deps:
            if _is_params(dep):
                found |= {f"params.yaml: {key}": value for key, value in dep.hash_info.value.items()}
            else:
                found[os.path.relpath(dep.fs_path, self.root)] = dep.hash_info.value
        return found

    def _refuse_edits(self, stage: "PipelineStage", before: dict[str, Any]) -> None:
        stage.save_deps()
        after = self._inputs(stage)
        edited = [name for name in before if after.get(name) != before[name]] + self._edited_code(stage)
        if edited:
            raise HeadstartError(
                f"{', '.join(sorted(set(edited)))} changed while step {_name(stage)} was running; its result is "
                "not recorded, for it does not belong to what is there now. Run again"
            )

    def _edited_code(self, stage: "PipelineStage") -> list[str]:
        """Files of the step's code that are not as they were when this process started."""
        now = fingerprint(self.root)
        return [path for path in code_files(self.root, _name(stage)) if now.get(path) != self._at_start.get(path)]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        from dvc.exceptions import DvcException
        from dvc.lock import LockError
        from dvc.repo import lock_repo

        try:
            with naming_the_disk(Path(self._repo.dvc_dir)), ExitStack() as stack:
                self._wait_for_dvc()
                stack.enter_context(lock_repo(self._repo))
                yield
        except LockError:
            raise BusyError(
                f"a dvc command is at work in {self.root}, and was so for {DVC_SECONDS:g} s; wait for it, or stop it "
                "if it hangs, then start again"
            ) from None
        except DvcException as error:
            raise UserError(f"DVC cannot go on: {error}; `dvc status` may say more") from error


@cache
def versioning_of(root: Path) -> Versioning:
    """The process's one view of a workspace; the digests of its code are those of the first call."""
    return Versioning(root)


def open_repo(root: Path) -> "Repo":
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo

    try:
        repo = Repo(str(root), _wait_for_lock=True)
        _mend_rwlock(repo)
        return repo
    except NotDvcRepoError:
        raise UserError(
            f"{root} has no .dvc folder; run `git init && dvc init` there, or clone the project anew"
        ) from None
    except DvcException as error:
        raise UserError(f"DVC cannot read {root}: {error}") from None


def _mend_rwlock(repo: "Repo") -> None:
    """Removes DVC's list of paths in use where a process was killed as it wrote it: DVC could not start any more.

    Entries of processes that are gone DVC drops itself.
    """
    path = Path(repo.tmp_dir or "", "rwlock")
    if _is_json(path):
        return
    from dvc.lock import make_lock
    from dvc.rwlock import RWLOCK_LOCK

    with make_lock(str(path.with_name(RWLOCK_LOCK)), tmp_dir=repo.tmp_dir, hardlink_lock=_has_hardlink_locks(repo)):
        if not _is_json(path):  # nobody was just at writing it
            path.unlink()


def _remove_outputs(stage: "PipelineStage") -> None:
    """DVC would take a folder away file by file, and leave a part of it where it is killed meanwhile."""
    for out in stage.outs:
        if Path(out.fs_path).is_dir():
            withdraw(Path(out.fs_path))
    stage.remove_outs(ignore_remove=False, force=False)


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True


def _has_hardlink_locks(repo: "Repo") -> bool:
    return bool(repo.config["core"].get("hardlink_lock", False))


def is_step(stage: Any) -> bool:
    from dvc.stage import PipelineStage

    return isinstance(stage, PipelineStage)


def _is_edited_dataset(stage: Any) -> bool:
    return not is_step(stage) and all(out.exists for out in stage.outs) and stage.changed()


def _name(stage: Any) -> str:
    """Such as finetune@full; of a dataset its .dvc file. DVC's own addressing is relative to the current directory."""
    return str(stage.name) if is_step(stage) else os.path.relpath(stage.path, stage.repo.root_dir)


def _is_params(dep: Any) -> bool:
    from dvc.dependency import ParamsDependency

    return isinstance(dep, ParamsDependency)


def _digest(stage: "PipelineStage") -> str:
    parts = [f"{out.def_path} {out.hash_info.value}" for out in stage.outs]
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()


@contextmanager
def quiet(heard: int = logging.WARNING) -> Iterator[None]:
    """DVC's own lines, which would come twice under Prefect, are kept to warnings."""
    loggers = [logging.getLogger(name) for name in ("dvc", "dvc_data")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(heard)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
