"""MLflow's surroundings: its pages are for this machine alone, and it unpickles nothing in any process of ours."""

import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from tasks.tracking import store

ROOT = Path(__file__).parents[3]


def test_its_pages_listen_on_loopback_alone(tmp_path):
    with patch.dict(os.environ, {"MLFLOW_TRACKING_URI": ""}):
        command = store.ui_command(tmp_path / ".headstart", 5000)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert not {"--allowed-hosts", "--cors-allowed-origins", "--disable-security-middleware"} & set(command)


@pytest.mark.parametrize("asked", ["true", "1", None])
def test_pickles_stay_shut_whatever_is_set(asked):
    with patch.dict(os.environ, {} if asked is None else {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": asked}):
        store.prepare()
        assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"


def test_every_process_that_opens_the_store_has_them_shut(tmp_path):
    code = f"""
from pathlib import Path
from tasks.tracking import open_tracking
open_tracking(Path({str(tmp_path / ".headstart")!r}))
from mlflow.environment_variables import MLFLOW_ALLOW_PICKLE_DESERIALIZATION as allowed
print(allowed.get())
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "true"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
