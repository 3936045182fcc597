"""Prefect's surroundings: the project's own unless the user's environment says otherwise; nothing of it is started."""

import os
import subprocess
import sys
from unittest.mock import patch

import pytest

from flows.server import DEFAULTS, Server, set_up, start_prefect
from headstart.errors import HeadstartError


@pytest.fixture
def environment():
    """An environment without Prefect's variables, which is as it was afterwards."""
    with patch.dict(os.environ):
        for name in list(os.environ):
            if name.startswith("PREFECT_") or name in DEFAULTS:
                del os.environ[name]
        yield os.environ


def test_the_home_lies_in_the_projects_state(environment, tmp_path):
    set_up(tmp_path / ".headstart")
    assert environment["PREFECT_HOME"] == str(tmp_path / ".headstart" / "prefect")
    assert (tmp_path / ".headstart" / "prefect").is_dir()
    assert {name: environment[name] for name in DEFAULTS} == DEFAULTS
    assert environment["DO_NOT_TRACK"] == "true"
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_what_the_user_set_stands_and_no_server_is_started(environment, tmp_path):
    own = {
        "PREFECT_API_URL": "http://prefect.example:4200/api",
        "PREFECT_HOME": str(tmp_path / "home"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "30",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",
    }
    environment.update(own)
    with start_prefect(tmp_path / ".headstart") as server:
        assert server is None
        assert {name: environment[name] for name in own} == own


@pytest.fixture
def server_that(monkeypatch, environment, tmp_path):
    """Starts a server whose process is this Python code instead."""

    def start(code: str) -> Server:
        set_up(tmp_path / ".headstart")
        real = subprocess.Popen
        monkeypatch.setattr(subprocess, "Popen", lambda words, **how: real([sys.executable, "-c", code], **how))
        started.append(Server.start(tmp_path))
        return started[-1]

    started: list[Server] = []
    yield start
    for server in started:
        server.stop()


def test_a_server_that_ends_while_it_starts_is_said_to_with_its_log(server_that, tmp_path):
    server = server_that("print('no room'); raise SystemExit(3)")
    with pytest.raises(HeadstartError, match=r"ended while it started; .*server.log says why"):
        server.wait()
    assert (tmp_path / "server.log").read_text() == "no room\n"


def test_a_server_that_does_not_answer_is_given_up(server_that, environment):
    environment["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "0.3"
    server = server_that("import time; time.sleep(60)")
    with pytest.raises(HeadstartError, match=r"did not answer within 0.3 s .* give it more"):
        server.wait()
    server.stop()
    assert server.process.returncode is not None


def test_a_tracking_uri_that_mlflow_does_not_know_is_for_the_flow_to_report(environment, tmp_path, monkeypatch):
    """The thread that opens MLflow early must not print a stack beside it."""
    from flows.commands import _open_early
    from headstart.errors import UserError
    from tasks.tracking import open_tracking
    from tasks.workspace import Workspace

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://at.all")
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI=nowhere://at.all is not usable"):
        open_tracking(tmp_path / ".headstart")
    _open_early(Workspace(tmp_path))
