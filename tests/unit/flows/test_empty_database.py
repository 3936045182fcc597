"""Prefect's empty database: made once, copied to where there is none."""

import sqlite3
import sys

import pytest

from flows import empty_database


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of Prefect, and an installation of our own that has a database."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    empty_database.path().parent.mkdir(parents=True)
    empty_database.path().write_bytes(b"tables")
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_a_new_home_begins_with_a_copy(home):
    empty_database.copy_to(home)
    assert (home / "prefect.db").read_bytes() == b"tables"


def test_a_home_with_runs_keeps_its_own(home):
    (home / "prefect.db").write_bytes(b"runs")
    empty_database.copy_to(home)
    assert (home / "prefect.db").read_bytes() == b"runs"


def test_without_one_nothing_is_copied(home):
    empty_database.path().unlink()
    empty_database.copy_to(home)
    assert list(home.iterdir()) == []


def test_another_version_of_prefect_has_another_one(home, monkeypatch):
    monkeypatch.setattr(empty_database, "version", lambda package: "9.9")
    empty_database.copy_to(home)
    assert list(home.iterdir()) == []


def test_the_installed_one_has_prefects_tables_and_no_run():
    if not empty_database.path().is_file():  # made by `make install`; not where headstart was installed another way
        empty_database.make()
    with sqlite3.connect(f"file:{empty_database.path()}?mode=ro", uri=True) as database:
        assert database.execute("select count(*) from flow_run").fetchone() == (0,)
        assert database.execute("select count(*) from alembic_version").fetchone() == (1,)
