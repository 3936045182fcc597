"""A module of the user's project by the name of one of our packages is not taken for it, by Prefect neither."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
ASKS_PREFECT = """
import sys
from prefect.utilities.importtools import load_module
print(load_module("tasks").__file__, sys.argv[1:])
"""


@pytest.mark.parametrize(("through", "found"), [([], "decoy"), (["flows.serving.own_code"], "tasks/__init__.py")])
def test_prefect_finds_our_packages(tmp_path, through, found):
    """Without it Prefect finds the project's: what the first case shows."""
    (tmp_path / "tasks.py").write_text("__file__ = 'decoy'\n")
    (tmp_path / "asks.py").write_text(ASKS_PREFECT)
    words = [sys.executable, "-P", "-m", *through, "asks", "x"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert f"{found} ['x']" in done.stdout
