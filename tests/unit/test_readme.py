"""The README is held to the code: its tables are the registries, and its commands exist."""

import re
from pathlib import Path

import pytest

from benchmarks.attributes import STEPS
from flows.cli import _parser
from flows.register import EXTRAS
from headstart.datasets.table import DATASETS
from headstart.settings import Settings, knobs
from headstart.strategies.table import STRATEGIES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("entry", [*STRATEGIES, *DATASETS], ids=lambda entry: entry.name)
def test_each_strategy_and_dataset_has_its_row(entry) -> None:
    assert f"| `{entry.name}` | {entry.line} |" in README


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^ {4}|`)make ([a-z-]+)", README, re.MULTILINE))
    assert len(named) >= 6
    assert named <= targets


SERVING = {"init", "doctor", "ui", "serve", "reproduce", "promote", "rollback", "api"}


def test_headstart_commands_parse_and_name_real_settings() -> None:
    commands = re.findall(r"^ {4}headstart ([^#\n\\]+)", README, re.MULTILINE)
    assert len(commands) >= 6
    for command in commands:
        options, rest = _parser().parse_known_args([word for word in command.split() if word != "--help"])
        assert options.command in {"run", "check", "rank", "explore", "predict", "status", "list", "devices"} | SERVING
        assert {word.removeprefix("--") for word in rest if word.startswith("--")} <= {*knobs(Settings()), *EXTRAS}


def test_the_command_of_attributes_is_the_studys() -> None:
    """With the steps that are the default they are expected to lose to scratch."""
    command = README[README.index("headstart run --source.data glyph_attributes") :].split("\n\n")[0]
    for name in ("full", "joint_attributes"):
        assert f"--strategies.{name}.steps {STEPS}" in command
    assert Settings().recipe("scratch").steps == STEPS


def test_files_that_are_named_exist() -> None:
    for name in re.findall(r"\b((?:docs|flows|tasks|headstart)/[\w/.-]+\.(?:md|py|png))", README):
        assert (ROOT / name).is_file(), name
