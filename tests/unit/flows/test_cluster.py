"""--ray without Ray: what is refused before anything starts, and how the flow hands its cells on."""

import os
import socket
import time
from importlib.util import find_spec

import pytest

from flows import cluster
from flows.cli import run_command
from flows.cluster import LOCAL, _check_reached, _own_token, _result
from headstart.errors import UserError


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def with_ray(monkeypatch):
    """The extra counts as installed; nothing of it is imported by what is tested here."""
    monkeypatch.setattr(cluster, "find_spec", lambda name: name)


def test_without_the_extra_it_says_how_to_get_it_and_changes_nothing(workspace, monkeypatch, capsys):
    missing = {"ray", "prefect_ray"}
    monkeypatch.setattr(cluster, "find_spec", lambda name: None if name in missing else find_spec(name))
    assert run_command(["run", "--ray", "local", "--seed", "1"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: --ray needs Ray and prefect-ray")
    assert "make install-ray" in said
    assert (workspace / "params.yaml").read_text() == "seed: 0\n"


@pytest.mark.parametrize("address", ["", "somewhere", "ray://", "host:", "host:port", "http://host:1/x", ":6379"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(UserError, match="give local, HOST:6379, or ray://HOST:10001"):
        _check_reached(address)


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_an_address_at_which_nothing_listens_is_refused_in_time(workspace, with_ray, capsys, form):
    with socket.socket() as taken:  # bound and not listening: nobody else is given the port meanwhile
        taken.bind(("127.0.0.1", 0))
        address = form.format(taken.getsockname()[1])
        begun = time.monotonic()
        assert run_command(["run", "--ray", address, "--seed", "1"]) == 2
    assert time.monotonic() - begun < cluster.CONNECT_SECONDS + 5
    assert f"no Ray cluster answers at {address} within 10 s" in capsys.readouterr().err
    assert (workspace / "params.yaml").read_text() == "seed: 0\n"


def test_an_address_that_never_answers_is_given_up_in_time(monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.2)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        for _ in range(4):  # until the queue is full, and what knocks is not answered
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(full.getsockname())
        with pytest.raises(UserError, match=r"within 0\.2 s \(timed out\)"):
            _check_reached(f"127.0.0.1:{full.getsockname()[1]}")
        for knocking in waiting:
            knocking.close()


def test_this_machines_own_cluster_needs_no_address(monkeypatch):
    """It is started by the run: there is nothing to knock at yet."""
    knocked = []
    monkeypatch.setattr(cluster.socket, "create_connection", lambda *given, **more: knocked.append(given))
    assert _check_reached(LOCAL) is None
    assert knocked == []


def test_the_environment_gives_the_address_where_no_flag_does(workspace, with_ray, monkeypatch, capsys):
    monkeypatch.setenv("HEADSTART_RAY", "nowhere")
    assert run_command(["run"]) == 2
    assert "--ray is 'nowhere'" in capsys.readouterr().err


def test_a_cluster_of_this_run_has_a_token_of_its_own_and_leaves_none(monkeypatch):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "the user's")
    with _own_token(LOCAL):
        assert os.environ["RAY_AUTH_MODE"] == "token"
        assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    assert "RAY_AUTH_MODE" not in os.environ
    assert os.environ["RAY_AUTH_TOKEN"] == "the user's"
    with _own_token("host:6379"):
        assert os.environ["RAY_AUTH_TOKEN"] == "the user's"
        assert "RAY_AUTH_MODE" not in os.environ


def test_the_code_that_goes_to_the_machines_is_this_checkouts():
    assert [os.path.basename(path) for path in cluster._code()] == ["flows", "tasks", "headstart"]
    assert all(os.path.isfile(os.path.join(path, "__init__.py")) for path in cluster._code())
    assert cluster._environment()["OMP_NUM_THREADS"] == "1"
    assert cluster._environment()["DO_NOT_TRACK"] == "true"


@pytest.mark.skipif(find_spec("ray") is None, reason="the extra [ray] is not installed")
def test_a_cell_that_was_lost_again_and_again_is_named():
    from ray.exceptions import WorkerCrashedError

    class Job:
        name = "full, 10 labels a class, seed 3"

    class Future:
        def result(self):
            raise WorkerCrashedError

    with pytest.raises(Exception, match="full, 10 labels a class, seed 3 was lost 4 times"):
        _result(Job(), Future())  # type: ignore[arg-type]
