"""Presets: each is a whole params.yaml, and its file has nothing that the defaults have."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from headstart.errors import SettingsError
from headstart.presets.table import HERE, PRESETS
from headstart.settings import Settings, default_text, knobs, load


@pytest.mark.parametrize("preset", list(PRESETS), ids=lambda preset: preset.name)
def test_its_text_is_a_params_yaml_of_its_settings(preset, tmp_path: Path):
    path = tmp_path / "params.yaml"
    path.write_text(preset.text())
    assert load(path) == preset.settings()
    lines = path.read_text().splitlines()
    assert lines[: len(preset.head)] == [f"# {line}".rstrip() for line in preset.head]


def test_the_default_one_is_that_of_a_fresh_clone():
    assert PRESETS.get("default").text() == default_text()


@pytest.mark.parametrize("name", [name for name in PRESETS.names() if name != "default"])
def test_its_file_has_what_differs_alone_and_what_it_came_to(name):
    preset = PRESETS.get(name)
    given = _leaves(YAML(typ="safe").load(HERE / preset.target))
    usual = knobs(Settings())
    assert not [knob for knob, value in given.items() if value == usual[knob].value]
    head = " ".join(preset.head)
    assert "over training from scratch (95% CI " in head
    assert "two CPU cores" in head


def test_an_unknown_one_is_refused_with_those_that_there_are():
    with pytest.raises(SettingsError, match="unknown preset 'txt'; did you mean text"):
        PRESETS.get("txt")


def _leaves(section: dict, prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in section.items():
        if isinstance(value, dict):
            found |= _leaves(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = tuple(value) if isinstance(value, list) else value
    return found
