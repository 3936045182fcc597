"""A cell on another machine: what is sent there, what is checked there before it runs, and what comes back.

Nothing here knows how it is sent; flows/cluster.py does that by Prefect and Ray. A machine either sees the workspace's
folder under the same path, and publishes the cell in it, or has a folder of its own (HEADSTART_WORKER_FOLDER), into
which the cell's inputs are pulled from DVC's remote; then the finished cell comes back as bytes.
"""

import os
import platform
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from headstart.cells.job import Job
from headstart.cells.run import is_finished, run_cell
from headstart.errors import IntegrityError, UserError
from headstart.storage.publish import MANIFEST, read_manifest, replacing, sha256, verify, write_bytes
from headstart.strategies.table import STRATEGIES
from headstart.training.accelerator import Accelerator
from tasks.remote_inputs import Remote, pull, push
from tasks.versioning import versioning_of
from tasks.workspace import Workspace

OWN_FOLDER = "HEADSTART_WORKER_FOLDER"  # set where `ray start` is called: the machine's own folder
PLACES = ("pack", "weights", "features", "source_features", "source_pack")  # a job's inputs
BYTES_FOLLOW_FROM = (
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "pyarrow",
    "safetensors",
)
SEEN_SECONDS = 60.0  # in which a shared folder shows one machine what another wrote; NFS keeps a listing for that long


@dataclass(frozen=True)
class RemoteCell:
    """A cell for whichever machine takes it.

    job: with places below a workspace in the place of paths. root: the workspace, as the run's machine calls it.
    manifests: sha256 of the manifest of each input, by its place. remote: where a machine with a folder of its own
    gets them from, None where there is no such machine. versions: of the packages that bytes follow from.
    """

    job: Job
    root: str
    manifests: Mapping[str, str]
    remote: Remote | None
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Finished:
    """What came of a cell: its summary, and its files where they do not lie in the shared folder."""

    summary: dict[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """What a machine has to say before a run begins: its name, and its own folder ("" where it shares the run's)."""

    host: str
    folder: str


def remote_cells(root: Path, jobs: Sequence[Job], *, own_folders: bool) -> list[RemoteCell]:
    """The jobs as they are sent. root: the workspace. own_folders: whether there are machines that pull their inputs.

    Raises:
        UserError: see `push`.
    """
    relative = [_relative(job, root) for job in jobs]
    places = sorted({getattr(job, name) for job in relative for name in PLACES} - {""})
    manifests = {place: sha256(root / place / MANIFEST) for place in places}
    remote = push(versioning_of(root), places) if own_folders and places else None
    return [RemoteCell(job, str(root), _of(job, manifests), remote, versions()) for job in relative]


def run_remote(cell: RemoteCell, device: str) -> Finished:
    """Runs a cell on this machine, unless it is finished here; called by a worker.

    Raises:
        UserError: this machine has other packages, or does not see what the run sees.
    """
    _check_versions(cell.versions)
    own = own_folder()
    if own is None:
        job = _placed(cell.job, lambda place: Path(cell.root) / place, Path(cell.root) / cell.job.cells)
        if not _wait_until(lambda: _differing(cell) is None):
            raise UserError(_does_not_see(cell.root, str(_differing(cell))))
        return Finished(run_cell(job, Accelerator(device, precision=job.precision)))
    if cell.remote is None:
        raise UserError(
            f"the machine {socket.gethostname()}, which has a folder of its own, came to the cluster after the run had "
            "begun without such a machine, and pushed nothing; finished cells are kept, run again to go on with it"
        )
    found = pull(cell.remote, own, cell.manifests)
    job = _placed(cell.job, found.__getitem__, own / "cells")
    summary = run_cell(job, Accelerator(device, precision=job.precision))
    files = [*read_manifest(job.directory), MANIFEST]
    return Finished(summary, {name: (job.directory / name).read_bytes() for name in files})


def receive(job: Job, finished: Finished) -> dict[str, Any]:
    """Has a cell that another machine finished stand under its key here, and returns its summary.

    Raises:
        IntegrityError: it is not there, or what came is not what was published.
    """
    if finished.files:
        with replacing(job.directory) as draft:
            for name, content in finished.files.items():
                write_bytes(draft / name, content)
            verify(draft)
    elif not _wait_until(lambda: is_finished(job)):
        raise IntegrityError(
            f"{job.name} was published on another machine, but {job.directory} does not show here within "
            f"{SEEN_SECONDS:g} s; see that the project's folder is one and the same on all machines"
        )
    return finished.summary


def look(root: str, params: str, expected: Mapping[str, str]) -> Seen:
    """Whether this machine could run cells of a workspace. params: sha256 of its params.yaml.

    Raises:
        UserError: it could not; what there is to do.
    """
    _check_versions(expected)
    own = own_folder()
    if own is None:
        path = Workspace(Path(root)).params
        if not path.is_file() or not _wait_until(lambda: sha256(path) == params):
            raise UserError(_does_not_see(root, path.name))
        return Seen(socket.gethostname(), "")
    try:
        own.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{OWN_FOLDER} is {str(own)!r} on {socket.gethostname()}, which cannot be made: {error}"
        ) from None
    return Seen(socket.gethostname(), str(own))


def own_folder() -> Path | None:
    """The folder that this machine has of its own; None where it shares the run's."""
    folder = os.environ.get(OWN_FOLDER, "")
    return Path(folder).expanduser().resolve() if folder else None


@cache
def versions() -> dict[str, str]:
    """Python's and the packages' versions here, of what the bytes of a cell follow from."""
    return {"Python": platform.python_version(), **{name: version(name) for name in BYTES_FOLLOW_FROM}}


def _check_versions(expected: Mapping[str, str]) -> None:
    """Refuses a machine whose cells would be other bytes under the same key."""
    here = versions()
    others = [
        f"{name} {here.get(name)} and not {wanted}" for name, wanted in expected.items() if here.get(name) != wanted
    ]
    if others:
        raise UserError(
            f"the machine {socket.gethostname()} has {', '.join(others)}, as the run has; its cells would be other "
            "bytes. Install requirements.lock and requirements-ray.lock on every machine, with the same Python"
        )


def _relative(job: Job, root: Path) -> Job:
    """The job with places below the workspace; a strategy that reads nothing of a source has the pack's alone."""
    read = PLACES if STRATEGIES.get(job.strategy).reads else ("pack",)
    below = {
        name: Path(getattr(job, name)).relative_to(root).as_posix() for name in read if _is_there(getattr(job, name))
    }
    empty = dict.fromkeys(PLACES, "")
    return replace(job, **(empty | below), cells=os.path.relpath(job.cells, root))  # a worktree's cells lie beside it


def _is_there(path: str) -> bool:
    return bool(path) and (Path(path) / MANIFEST).is_file()


def _placed(job: Job, place: Callable[[str], Path], cells: Path) -> Job:
    """The job with this machine's paths."""
    paths = {name: str(place(getattr(job, name))) for name in PLACES if getattr(job, name)}
    return replace(job, **paths, cells=str(cells))


def _of(job: Job, manifests: Mapping[str, str]) -> dict[str, str]:
    places = [getattr(job, name) for name in PLACES]
    return {place: manifests[place] for place in dict.fromkeys(places) if place}


def _differing(cell: RemoteCell) -> str | None:
    """The first input that is not here as the run has it."""
    for place, digest in cell.manifests.items():
        manifest = Path(cell.root) / place / MANIFEST
        if not manifest.is_file() or sha256(manifest) != digest:
            return place
    return None


def _does_not_see(root: str, place: str) -> str:
    return (
        f"the machine {socket.gethostname()} has no {place} below {root} as the run has it; share the project's folder "
        f"with it under this path, or set {OWN_FOLDER} on it before `ray start`, and a remote of DVC for the project"
    )


def _wait_until(condition: Callable[[], bool]) -> bool:
    """Whether it comes true in the time that a shared folder takes to show what was written elsewhere."""
    deadline = time.monotonic() + SEEN_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True
