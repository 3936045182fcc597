"""Prefect's surroundings: the project's own unless the user's environment says otherwise; nothing of it is started."""

import os
from unittest.mock import patch

import pytest

from flows.server import DEFAULTS, start_prefect


@pytest.fixture
def environment():
    """An environment without Prefect's variables, which is as it was afterwards."""
    with patch.dict(os.environ):
        for name in list(os.environ):
            if name.startswith("PREFECT_") or name in DEFAULTS:
                del os.environ[name]
        yield os.environ


def test_the_home_lies_in_the_projects_state(environment, tmp_path):
    with start_prefect(tmp_path / ".headstart"):
        assert environment["PREFECT_HOME"] == str(tmp_path / ".headstart" / "prefect")
        assert (tmp_path / ".headstart" / "prefect").is_dir()
        assert {name: environment[name] for name in DEFAULTS} == DEFAULTS
        assert "PREFECT_API_URL" not in environment  # a server of its own is started
        assert environment["DO_NOT_TRACK"] == "true"
        assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_what_the_user_set_stands(environment, tmp_path):
    own = {
        "PREFECT_API_URL": "http://prefect.example:4200/api",
        "PREFECT_HOME": str(tmp_path / "home"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "30",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",
    }
    environment.update(own)
    with start_prefect(tmp_path / ".headstart"):
        assert {name: environment[name] for name in own} == own


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
