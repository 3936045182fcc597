"""What a git worktree gets of DVC: the checkout's cache and remotes, and the data that is tracked."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headstart.errors import UserError
from tasks.versioning import open_repo, quiet


def share_cache(root: Path, worktree: Path) -> None:
    """Gives a worktree the DVC cache and the remotes of the checkout `root`, and a scratch place of its own.

    A remote's path in the config is relative to it, so it is named anew. Nothing that git versions is touched.
    """
    from dvc.config import Config

    repo = open_repo(root)
    cache_folder, folder = str(repo.cache.legacy.path), repo.dvc_dir
    repo.close()
    place = Path(os.path.normpath(worktree / os.path.relpath(os.path.realpath(folder), root.resolve())))
    theirs = Config(folder, validate=False)
    committed, local = theirs.load_one("repo")["remote"], theirs.load_one("local")
    names = {*committed, *local["remote"]}
    remotes = {name: committed.get(name, {}) | local["remote"].get(name, {}) for name in names}
    with Config(str(place), validate=False).edit("local", validate=False) as ours:
        ours.update({key: value for key, value in local.items() if value})
        ours["remote"] = {name: _absolute(remote) for name, remote in remotes.items()}
        ours["cache"] = dict(local["cache"]) | {"dir": cache_folder, "type": "reflink,hardlink,symlink,copy"}
        ours["core"] = dict(local["core"]) | {"site_cache_dir": str(place / "tmp" / "site")}
    (place / "config.local").chmod(0o600)  # it may hold passwords


def _absolute(remote: Mapping[str, Any]) -> dict[str, Any]:
    """DVC marks paths that it read as relative ones, and would write them so."""
    return {key: str(value) if isinstance(value, str) else value for key, value in remote.items()}


def checkout(root: Path) -> None:
    """Fetches from DVC's cache what dvc.lock and the .dvc files name; what the cache has not is left out."""
    from dvc.exceptions import DvcException

    repo = open_repo(root)
    try:
        with quiet(logging.ERROR):  # it warns of each step that never ran
            repo.checkout(force=True, allow_missing=True)
    except DvcException as error:
        raise UserError(f"DVC cannot check out {root}: {error}") from error
    finally:
        repo.close()
