"""What the tests of faults and bad input share."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tally
from checks import result
from forked import WarmParent, said
from pipeline import in_project, open_warm, run_warm

from headstart.datasets.settings import DataSettings

__all__ = ["in_project", "open_warm", "run_warm"]

# Fewer ways and more steps than elsewhere: most of a run is training.
SMALL = {
    "finetune.strategies": ["scratch", "full"],
    "pretrain.epochs": 30,
    "strategies.scratch.steps": 40,
    "strategies.full.steps": 30,
}


# The files that take longest begin first, or one process would be left with them alone.
LONGEST = ("test_kills", "test_kills_of_the_flow", "test_starts_at_once", "test_full_disk")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST)

    if tally.is_kept():
        items.sort(key=place)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """The process that started the others hears of every test; one that is alone hears of this folder's only."""
    if tally.is_kept() and "PYTEST_XDIST_WORKER" not in os.environ and not report.skipped:
        tally.note_elsewhere(report.nodeid, phase=report.when, passed=report.passed, seconds=report.duration)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["tally"] = tally.counted()
    else:
        tally.write()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """One of several processes that test has ended, and says what it counted."""
    tally.add(getattr(node, "workeroutput", {}).get("tally", {}))


@pytest.fixture(scope="session")
def decoder():
    """One worker that decodes, as a thread: quick to have, and a death of it would be this process's."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture(scope="session")
def small() -> DataSettings:
    """Of a run on small pictures in colour."""
    return DataSettings(image_size=16, channels=3, smallest_test=0)


@dataclass(frozen=True)
class Whole:
    """A run that nobody disturbed: what it came to, its seconds, and its project."""

    result: dict[str, object]
    seconds: float
    project: Any


@pytest.fixture(scope="session")
def prepared(make_project: Callable[..., Any]) -> Any:
    """The project before its first run. Read only."""
    return make_project(**SMALL)


@pytest.fixture(scope="session")
def warm_parent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmParent]:
    parent = WarmParent(tmp_path_factory.mktemp("warm") / "log.txt")
    yield parent
    parent.stop()


@pytest.fixture
def fresh(prepared: Any, tmp_path: Path) -> Callable[[], Any]:
    """Makes copies of the project before its first run."""
    made: list[Any] = []

    def copy() -> Any:
        made.append(prepared.copy(tmp_path / f"project-{len(made)}"))
        return made[-1]

    return copy


@pytest.fixture(scope="session")
def whole(prepared: Any, warm_parent: WarmParent, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """What the killed ones must come to."""
    project = prepared.copy(tmp_path_factory.mktemp("whole") / "project")
    began = time.monotonic()
    assert warm_parent.run(project.root, eager=True) == 0, said(project.root)
    return Whole(result(project.root), time.monotonic() - began, project)
