"""Starts the server: a model, an address, a token where others may reach it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.api.tokens import is_loopback, token_for
from flows.console import show
from headstart.errors import UserError

if TYPE_CHECKING:
    from tasks.predict import Opened

MOST_CONNECTIONS = 768  # at once, idle ones too; below the 1,024 files that a process may mostly have open


def serve(model: str, *, host: str, port: int, token_file: str | None, device: str, batch_size: int | None) -> int:
    """Serves until Ctrl-C or SIGTERM; what has come in by then is still answered.

    Raises:
        UserError: another host than loopback's without a token, or the port cannot be used; see also opened_model.
    """
    from flows.api.app import make_app
    from flows.api.guard import Limits
    from tasks.predict import opened_model

    token = token_for(host, token_file)
    with opened_model(model, device=device, batch_size=batch_size) as opened, _bound(host, port) as listening:
        import uvicorn

        from flows.api.patience import patient

        limits = Limits()
        app = make_app(_without_its_place(opened), token=token, loopback=is_loopback(host), limits=limits)
        number = listening.getsockname()[1]
        url = f"http://{f'[{host}]' if ':' in host else host}:{number}/"
        show(f"{opened.name} on {opened.device.name}: {url}", "Ctrl-C stops it")
        quiet: dict[str, Any] = {"log_level": "warning", "access_log": False}
        how: dict[str, Any] = {"http": patient(limits), "ws": "none", "timeout_keep_alive": int(limits.head)} | quiet
        config = uvicorn.Config(app, timeout_graceful_shutdown=10, limit_concurrency=MOST_CONNECTIONS, **how)
        uvicorn.Server(config).run(sockets=[listening])
    return 0


def _without_its_place(opened: "Opened") -> "Opened":
    """What answers call the model: a folder by its own name, for where it lies is nobody's business."""
    path = Path(opened.name).expanduser()
    return replace(opened, name=path.resolve().name) if path.is_dir() else opened


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket; port 0 is any that is free.

    Raises:
        UserError: the address is none of this machine, or the port is taken.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except (OSError, OverflowError) as error:
        raise UserError(f"{host}:{port} cannot be listened on: {error}; give another --host or --port") from None
    with listening:
        yield listening
