"""Passwords and tokens in files that their owner alone may read."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from headstart.errors import UserError

LEAST = 16  # characters


def random_secret(path: Path, *, prefix: str = "") -> str:
    """What is in the file; where there is none, it gets a random one first, whole or not at all.

    Raises:
        UserError: see read_secret.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.tmp-")  # its mode is 0600
        try:
            with open(handle, "w", encoding="ascii") as file:
                file.write(f"{prefix}{secrets.token_urlsafe(32)}\n")
            with suppress(FileExistsError):  # another process was quicker: the file is what it made
                os.link(draft, path)
        finally:
            os.unlink(draft)
    return read_secret(path)


def read_secret(path: Path) -> str:
    """What is in the file.

    Raises:
        UserError: it cannot be read, others may read it too, or it is too short.
    """
    try:
        mode, token = path.stat().st_mode, path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise UserError(f"the token in {path} cannot be read: {error}; put one there, at least 16 characters") from None
    if mode & 0o077:
        raise UserError(f"others may read the token in {path}; run `chmod 600 {path}`")
    if len(token) < LEAST or not token.isascii() or len(token.split()) != 1:
        raise UserError(f"{path} holds no token of at least {LEAST} ASCII characters without spaces")
    return token
