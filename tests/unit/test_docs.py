"""Pages that are made from the code are what the code makes of them now."""

import subprocess
import sys
from pathlib import Path

from headstart.settings import Settings, knobs

ROOT = Path(__file__).parents[2]


def test_the_figures_of_reliability_are_those_of_the_last_faults():
    command = "import sys; sys.path.insert(0, 'tools'); import faults_table; sys.stdout.write(faults_table.page())"
    made = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs" / "reliability.md").read_text() == made, "run `python tools/faults_table.py`"


def test_the_table_of_settings_is_made_from_the_settings():
    made = subprocess.run(
        [sys.executable, "tools/settings_table.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert (ROOT / "docs" / "settings.md").read_text() == made, "run `make docs`"
    assert all(f"| `{name}` | " in made for name in knobs(Settings()))
