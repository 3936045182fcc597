"""The run's own server asks for a password, on loopback too; for other machines it listens on their side."""

import base64
import os
import sys
from http.client import HTTPConnection
from unittest.mock import patch

import pytest

from flows.server import PASSWORDS, start_prefect

OTHER = "127.0.0.2"  # this machine too, and not what the server of a run of this machine alone listens on


@pytest.mark.skipif(sys.platform != "linux", reason="only there all of 127/8 is this machine")
@pytest.mark.parametrize(("host", "elsewhere"), [("127.0.0.1", OTHER), (OTHER, "127.0.0.1")])
def test_it_asks_for_the_runs_password_and_forgets_it_afterwards(tmp_path, host, elsewhere):
    with patch.dict(os.environ):
        for name in list(os.environ):
            if name.startswith("PREFECT_"):
                del os.environ[name]
        with start_prefect(tmp_path / ".headstart", host) as server:
            assert server is not None
            server.wait()
            assert os.environ["PREFECT_API_URL"].startswith(f"http://{host}:")
            password = os.environ["PREFECT_API_AUTH_STRING"]
            assert len(password) > 30
            assert ask(server.port, host) == 401
            assert ask(server.port, host, "headstart:guessed") == 401
            assert ask(server.port, host, password) == 200
            with pytest.raises(ConnectionRefusedError):
                ask(server.port, elsewhere, password)
        assert not {"PREFECT_API_URL", *PASSWORDS} & set(os.environ)


def ask(port: int, host: str, password: str = "") -> int:
    """The status with which it answers a question about flows."""
    connection = HTTPConnection(host, port, timeout=30)
    words = {"Authorization": f"Basic {base64.b64encode(password.encode()).decode()}"} if password else {}
    try:
        connection.request("POST", "/api/flows/count", body="{}", headers=words | {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()
