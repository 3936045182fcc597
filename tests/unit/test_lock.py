"""requirements.lock: every package pinned, no index named, and the versions that the seams are tested against."""

import re
from pathlib import Path

import pytest

LINES = [
    line
    for line in (Path(__file__).parents[2] / "requirements.lock").read_text().splitlines()
    if line and not line.startswith("#")
]


def test_every_line_is_one_exact_version_and_nothing_else():
    assert [line for line in LINES if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+( ; .+)?", line)] == []
    assert len(LINES) > 150


@pytest.mark.parametrize(
    "pin", ["torch==2.14.1", "torchvision==0.29.1", "prefect==3.8.8", "mlflow==3.17.2", "dvc==3.67.1"]
)
def test_the_packages_that_our_seams_are_measured_on_stand_at_those_versions(pin: str):
    assert [line.split("+")[0].split(" ")[0] for line in LINES if line.startswith(pin.split("==")[0] + "==")] == [pin]
