"""Files of passwords: random, whole, and for their owner alone."""

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from flows.secret_file import random_secret, read_secret
from headstart.errors import UserError


def test_each_is_random_and_stays(tmp_path):
    first, second = (random_secret(tmp_path / "state" / name) for name in ("a", "b"))
    assert first != second
    assert len(first) == len(second) == 43
    assert random_secret(tmp_path / "state" / "a") == first
    assert stat.S_IMODE((tmp_path / "state" / "a").stat().st_mode) == 0o600
    assert {path.name for path in (tmp_path / "state").iterdir()} == {"a", "b"}


def test_those_that_start_at_once_have_the_same(tmp_path):
    with ThreadPoolExecutor(16) as threads:
        found = set(threads.map(lambda _: random_secret(tmp_path / "a", prefix="headstart:"), range(64)))
    (one,) = found
    assert one.startswith("headstart:")


def test_one_that_others_may_read_is_refused_and_not_replaced(tmp_path):
    (tmp_path / "a").write_text("long-enough-to-be-one")
    (tmp_path / "a").chmod(0o640)
    with pytest.raises(UserError, match="others may read the token in .*; run `chmod 600"):
        random_secret(tmp_path / "a")


@pytest.mark.parametrize("content", [b"", b"short", b"two words that are long enough", b"\xff\xfe" * 20])
def test_one_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "a").chmod(0o600)
    with pytest.raises(UserError, match=r"cannot be read|no token of at least 16 ASCII characters"):
        read_secret(tmp_path / "a")
