"""The presets of texts and sound through the whole command: they come to what their heads say."""

import json
import re

import pytest

from headstart.presets.table import PRESETS

pytestmark = pytest.mark.slow

POINTS = 8  # that another kind of CPU, which rounds otherwise, may be away


@pytest.mark.parametrize("name", ["text", "audio"])
def test_a_preset_comes_to_what_its_head_says(make_project, name):
    project = make_project()
    project.headstart("run", "--preset", name, timeout=1800)
    verdict = json.loads((project.root / "reports" / "verdict.json").read_text())
    head = " ".join(PRESETS.get(name).head)
    for contrast, words in (("against_scratch", "training from scratch"), ("against_source", "the source model")):
        told = re.search(rf"\w+ ([+-][\d.]+) points (?:over|against) {words}", head)
        assert told is not None
        assert abs(100 * verdict[contrast]["difference"] - float(told[1])) < POINTS
    assert verdict["against_scratch"]["verdict"] == "helped"
    assert (project.root / "params.yaml").read_text().startswith(f"# {PRESETS.get(name).head[0]}")
