"""Inputs of cells over DVC's remote: pushed by the run, pulled by a machine that does not share its folder.

A machine's own folder is a DVC project of its own, without git: inputs/<digest> is what DVC's remote has under that
digest, so that every run and every workspace finds again what is there. Beside tasks/versioning.py the only file that
knows DVC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.errors import IntegrityError, UserError
from headstart.storage.publish import MANIFEST, sha256, verify, write_text
from tasks.locks import held
from tasks.versioning import Versioning, quiet

if TYPE_CHECKING:
    from dvc.repo import Repo

PULL_SECONDS = 6 * 3600.0  # that a cell waits for another one to fetch the inputs


@dataclass(frozen=True)
class Tracked:
    """Where DVC has an input: the digest of the output that it lies in, and the place inside of that."""

    digest: str
    inside: str


@dataclass(frozen=True)
class Remote:
    """A remote of DVC, as the project's own config describes it, and what was pushed there, by place.

    Credentials stay where they are (.dvc/config.local, DVC's config of a user, the environment): a machine has its own.
    """

    name: str
    config: Mapping[str, Any]
    tracked: Mapping[str, Tracked]


def check_remote(versioning: Versioning) -> None:
    """Refuses a project without a default remote of DVC, before anything is started.

    Raises:
        UserError: see `default_remote`.
    """
    with versioning.opened() as repo:
        default_remote(repo)


def push(versioning: Versioning, places: Sequence[str]) -> Remote:
    """Sends outputs of finished steps to the project's default remote. places: below the workspace.

    Raises:
        UserError: there is no default remote, or DVC cannot reach it.
    """
    from dvc.exceptions import DvcException

    root = versioning.root
    with versioning.opened() as repo:
        name = default_remote(repo)
        tracked = {place: _tracked(repo, root / place) for place in places}
        try:
            repo.push(targets=[str(root / place) for place in places])
        except DvcException as error:
            raise UserError(f"inputs of cells cannot be pushed to DVC's remote {name!r}: {error}") from error
        return Remote(name, dict(repo.config.read("repo")["remote"][name]), tracked)


def default_remote(repo: "Repo") -> str:
    """The name of the remote that `dvc push` takes.

    Raises:
        UserError: there is none in .dvc/config.
    """
    name = str(repo.config["core"].get("remote") or "")
    if name not in repo.config.read("repo")["remote"]:
        raise UserError(
            "there is a machine with a folder of its own, which gets its inputs from DVC's remote, but .dvc/config has "
            "no default one; add it with `dvc remote add --default NAME URL`, or share the project's folder with it"
        )
    return name


def pull(remote: Remote, folder: Path, manifests: Mapping[str, str]) -> dict[str, Path]:
    """Brings inputs into this machine's own folder; returns where each lies. manifests: sha256 of each, by place.

    Raises:
        UserError: DVC cannot reach the remote from here.
        IntegrityError: what it has under the digest is not what the run has.
    """
    found = {
        place: folder / "inputs" / at.digest / at.inside for place, at in remote.tracked.items() if place in manifests
    }
    folder.mkdir(parents=True, exist_ok=True)
    with held(
        folder / "inputs.lock", seconds=PULL_SECONDS, what="fetching inputs"
    ):  # one worker pulls, those beside it wait and find it there
        missing = [place for place, path in found.items() if not _is(path, manifests[place])]
        if missing:
            _pull(remote, folder, [(remote.tracked[place].digest, found[place]) for place in missing])
        for place in missing:
            verify(found[place])
            if not _is(found[place], manifests[place]):
                raise IntegrityError(f"{found[place]}, which came from DVC's remote, is not {place} as the run has it")
    return found


def _pull(remote: Remote, folder: Path, missing: Sequence[tuple[str, Path]]) -> None:
    from dvc.config import ConfigError
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        if not (folder / ".dvc").is_dir():
            Repo.init(str(folder), no_scm=True).close()
        for digest, _ in missing:
            described = f"outs:\n- md5: {digest}\n  hash: md5\n  path: {digest}\n"
            write_text(folder / "inputs" / f"{digest}.dvc", described)
        own = {"core": {"analytics": False}, "cache": {"type": "reflink,hardlink,copy"}}
        with quiet(), Repo(str(folder), config=own, remote=remote.name, remote_config=dict(remote.config)) as repo:
            repo.pull(targets=[str(path) for _, path in missing], force=True)
    except (DvcException, ConfigError) as error:
        raise UserError(f"inputs of cells cannot be pulled from DVC's remote {remote.name!r}: {error}") from error


def _tracked(repo: "Repo", path: Path) -> Tracked:
    for out in repo.index.outs:
        if path.is_relative_to(out.fs_path) and out.hash_info:
            return Tracked(str(out.hash_info.value), path.relative_to(out.fs_path).as_posix())
    raise UserError(f"{path} is no output of a step that DVC has recorded; run `dvc status` to see what is wrong")


def _is(path: Path, digest: str) -> bool:
    manifest = path / MANIFEST
    return manifest.is_file() and sha256(manifest) == digest
