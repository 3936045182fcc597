"""Who must bear a token, and where it is kept."""

import os
import secrets
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

from flows.console import show
from headstart.errors import UserError
from tasks.workspace import here

TOKEN_CHARACTERS = 16  # a token's least length


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def token_for(host: str, token_file: str | None) -> str:
    """The token that requests must bear; none is asked for on loopback unless a file of one is given.

    Elsewhere it is the project's own, a random one in .headstart that its owner alone may read.

    Raises:
        UserError: the file cannot be read or its token is too short, or there is no project to keep one in.
    """
    if token_file is not None:
        return _read_token(Path(token_file).expanduser())
    if is_loopback(host):
        return ""
    try:
        path = here().state / "api-token"
    except UserError:
        raise UserError(
            f"--host {host} lets other machines in, so a token is needed, and this is no project to keep one in; give "
            "--token-file FILE"
        ) from None
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError), open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{secrets.token_urlsafe(32)}\n")
    show(f'requests need the token in {path}: curl -H "Authorization: Bearer $(cat {path})" ...')
    return _read_token(path)


def _read_token(path: Path) -> str:
    try:
        mode, token = path.stat().st_mode, path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise UserError(f"the token in {path} cannot be read: {error}; put one there, at least 16 characters") from None
    if mode & 0o077:
        raise UserError(f"others may read the token in {path}; run `chmod 600 {path}`")
    if len(token) < TOKEN_CHARACTERS or not token.isascii() or len(token.split()) != 1:
        raise UserError(f"{path} holds no token of at least {TOKEN_CHARACTERS} ASCII characters without spaces")
    return token
