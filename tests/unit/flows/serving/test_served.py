"""The note of what is served: believed only while its process lives and its server answers. And ports."""

import os
import socket
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from unittest.mock import patch

import psutil
import pytest

from flows.secret_file import random_secret
from flows.server import is_temporary, start_prefect
from flows.serving import served
from flows.serving.ports import check_ports
from headstart.errors import UserError


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def api():
    """A server that answers as Prefect's does when asked for its health."""
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()


def note(state, api, *, pid=None, started=None, password=""):
    own = psutil.Process()
    state.mkdir(exist_ok=True)
    site = api.removesuffix("/api")
    told = served.Served(pid or own.pid, started or own.create_time(), api, site, "http://mlflow", password)
    served.write(state, told)
    return told


def test_what_is_served_is_found(tmp_path, api):
    told = note(tmp_path, api)
    assert served.find(tmp_path) == told
    served.forget(tmp_path)
    assert served.find(tmp_path) is None


def test_where_the_password_lies_is_said_and_the_password_is_not(tmp_path, api, monkeypatch):
    monkeypatch.chdir(tmp_path)
    word = random_secret(tmp_path / ".headstart" / "prefect-password")
    told = note(tmp_path / ".headstart", api, password=str(tmp_path / ".headstart" / "prefect-password"))
    first, second = told.lines()
    assert first == f"Prefect: {told.prefect} (it asks once for what is in .headstart/prefect-password)"
    assert second.startswith("MLflow:  http://mlflow/")
    assert word not in (tmp_path / ".headstart" / served.FILE).read_text()


def test_a_process_that_is_gone_or_another_of_its_number_is_not_believed(tmp_path, api):
    note(tmp_path, api, started=1.0)
    assert served.find(tmp_path) is None


def test_a_server_that_is_silent_is_not_believed(tmp_path, api):
    note(tmp_path, api.replace("/api", "/elsewhere"))
    assert served.find(tmp_path) is None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        note(tmp_path, f"http://127.0.0.1:{free.getsockname()[1]}/api")
        assert served.find(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_note_that_is_not_whole_is_none(tmp_path, text):
    (tmp_path / served.FILE).write_text(text)
    assert served.find(tmp_path) is None


def test_a_run_beside_it_reports_to_its_server(tmp_path, api):
    word = random_secret(tmp_path / "password")
    told = note(tmp_path, api, password=str(tmp_path / "password"))
    with patch.dict(os.environ):
        for name in list(os.environ):
            if name.startswith("PREFECT_"):
                del os.environ[name]
        with start_prefect(tmp_path) as own:
            assert own is None
            assert os.environ["PREFECT_API_URL"] == told.api
            assert os.environ["PREFECT_API_AUTH_STRING"] == word
            assert served.pages() == told.mlflow
            assert not is_temporary()
        assert not {"PREFECT_API_URL", "PREFECT_API_AUTH_STRING"} & set(os.environ)
        assert served.pages() == ""
        assert is_temporary()


def test_a_taken_port_is_named_with_its_flag():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} is taken by another program; choose another one by --port"):
            check_ports({"--port": port})
    check_ports({"--port": port})


@pytest.mark.parametrize(
    ("ports", "words"),
    [
        ({"--port": 70000}, "--port is 70000; give a number from 1 to 65535"),
        ({"--port": 4200, "--mlflow-port": 4200}, "--port and --mlflow-port are both 4200"),
    ],
)
def test_ports_that_cannot_be(ports, words):
    with patch("flows.serving.ports._is_free", return_value=True), pytest.raises(UserError, match=words):
        check_ports(ports)
