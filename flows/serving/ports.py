"""Ports of loopback that a server is to listen on."""

import socket
from collections.abc import Mapping

from flows.server import LOOPBACK
from headstart.errors import UserError


def check_ports(ports: Mapping[str, int]) -> None:
    """Refuses ports that cannot be had. ports: by the flag that sets each.

    Raises:
        UserError: one is taken, out of range, or wanted twice; its flag is named.
    """
    seen: dict[int, str] = {}
    for flag, port in ports.items():
        if not 1 <= port <= 65535:
            raise UserError(f"{flag} is {port}; give a number from 1 to 65535")
        if port in seen:
            raise UserError(f"{seen[port]} and {flag} are both {port}; give each a port of its own")
        seen[port] = flag
        if not _is_free(port):
            raise UserError(f"port {port} is taken by another program; choose another one by {flag}")


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as uvicorn does: one that is closing will do
        try:
            tried.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
