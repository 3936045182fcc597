"""Who must bear a token, and where it is kept."""

from ipaddress import ip_address
from pathlib import Path

from flows.console import show
from flows.secret_file import random_secret, read_secret
from headstart.errors import UserError
from tasks.workspace import here


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
        return read_secret(Path(token_file).expanduser())
    if is_loopback(host):
        return ""
    try:
        path = here().state / "api-token"
    except UserError:
        raise UserError(
            f"--host {host} lets other machines in, so a token is needed, and this is no project to keep one in; give "
            "--token-file FILE"
        ) from None
    token = random_secret(path)
    show(f'requests need the token in {path}: curl -H "Authorization: Bearer $(cat {path})" ...')
    return token
