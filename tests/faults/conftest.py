"""What the tests of faults and bad input share."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import tally

from headstart.datasets.settings import DataSettings


def pytest_sessionfinish() -> None:
    tally.write()


@pytest.fixture(scope="session")
def decoder():
    """One worker that decodes, as a thread: quick to have, and a death of it would be this process's."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture(scope="session")
def small() -> DataSettings:
    """Of a run on small pictures in colour."""
    return DataSettings(image_size=16, channels=3, smallest_test=0)
