"""A disk that is full or fails: one error that names the file, whatever library met it; others stay what they are."""

import errno
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from headstart.errors import IntegrityError, StorageError
from headstart.storage.disk import disk_error, naming_the_disk

WRITERS = {
    "numpy": "import numpy; numpy.save(path, numpy.zeros(200_000))",
    "safetensors": "import numpy; from safetensors.numpy import save_file\n"
    "        save_file({'a': numpy.zeros(200_000)}, path)",
    "pyarrow": "import pandas; pandas.DataFrame({'a': range(200_000)}).to_parquet(path)",
    "sqlite": "import sqlite3; c = sqlite3.connect(path); c.execute('create table t (a)');"
    "c.executemany('insert into t values (?)', [('x' * 99,)] * 9999); c.commit()",
}
LIMITED = """
import resource, signal, sys
from pathlib import Path
from headstart.storage.disk import naming_the_disk
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = sys.argv[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    with naming_the_disk(Path(path)):
        {writer}
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
def test_the_file_the_cause_and_the_remedy_are_named(number) -> None:
    def fail() -> None:
        with naming_the_disk(Path("/somewhere/pack")):
            raise OSError(number, "x", "/somewhere/.pack.tmp-1-0/images.npy")

    with pytest.raises(StorageError, match=r"^/somewhere/.pack.tmp-1-0/images.npy cannot be written .*run again"):
        fail()


@pytest.mark.parametrize("error", [FileNotFoundError(2, "x"), ValueError("os error in 3"), IntegrityError("errno 28")])
def test_other_errors_stay_what_they_are(error) -> None:
    def fail() -> None:
        with naming_the_disk(Path("pack")):
            raise error

    with pytest.raises(type(error)):
        fail()


def test_a_cause_is_seen_through_what_was_made_of_it() -> None:
    error = RuntimeError("the writer gave up")
    error.__cause__ = OSError(errno.ENOSPC, "full")
    assert disk_error(error) == errno.ENOSPC
    assert disk_error(sqlite3.OperationalError("database or disk is full")) == errno.ENOSPC
    assert disk_error(sqlite3.OperationalError("no such table: runs")) == 0


@pytest.mark.parametrize("library", WRITERS)
def test_a_limit_that_the_system_sets_is_seen_through_each_library(tmp_path, library) -> None:
    """A real failure in the middle of a write: the size that files of a process may have."""
    program = LIMITED.format(writer=WRITERS[library])
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "file")], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("StorageError"), done.stdout + done.stderr
    assert "cannot be written" in done.stdout
