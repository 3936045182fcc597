"""Each outside system is known to one place: MLflow to tasks/tracking, Prefect to flows, FastAPI to flows/api."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SEAMS = {"mlflow": "tasks/tracking/", "prefect": "flows/", "dvc": "tasks/", "fastapi": "flows/api/"}


@pytest.mark.parametrize(("library", "place"), SEAMS.items())
def test_a_library_is_imported_in_its_place_alone(library, place):
    importing = re.compile(rf"^\s*(import|from) {library}\b", re.MULTILINE)
    files = [path for floor in ("flows", "tasks", "headstart") for path in (ROOT / floor).rglob("*.py")]
    found = [path.relative_to(ROOT).as_posix() for path in files if importing.search(path.read_text())]
    assert found
    assert [name for name in found if not name.startswith(place)] == []
