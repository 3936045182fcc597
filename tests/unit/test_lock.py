"""requirements.lock: every package pinned, no index named, and the versions that the seams are tested against."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lines_of(name: str) -> list[str]:
    return [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]


LINES, RAY_LINES = lines_of("requirements.lock"), lines_of("requirements-ray.lock")


def test_every_line_is_one_exact_version_and_nothing_else():
    every = [*LINES, *RAY_LINES]
    assert [line for line in every if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+( ; .+)?", line)] == []
    assert len(LINES) > 150


def test_the_extras_lock_adds_what_the_lock_has_not_and_pins_what_the_extra_does():
    names = {line.split("==")[0] for line in LINES}
    assert names & {line.split("==")[0] for line in RAY_LINES} == set()
    assert not names & {"ray", "prefect-ray"}, "who does not want them is not given them"
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["ray"]
    assert {pin.replace("[default]", "") for pin in extra} <= set(RAY_LINES)


@pytest.mark.parametrize(
    "pin", ["torch==2.14.1", "torchvision==0.29.1", "prefect==3.8.8", "mlflow==3.17.2", "dvc==3.67.1"]
)
def test_the_packages_that_our_seams_are_measured_on_stand_at_those_versions(pin: str):
    assert [line.split("+")[0].split(" ")[0] for line in LINES if line.startswith(pin.split("==")[0] + "==")] == [pin]
