"""The MLflow tree of a pipeline run on a real sqlite store: threads, killed processes, a server that goes away."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from headstart.errors import UserError
from tasks.tracking import Tracking, open_tracking, runs, sent, store_uri, ui_command

pytestmark = pytest.mark.usefixtures("own_mlflow")

ROOT = Path(__file__).parents[2]
LOADER = """
import json
from pathlib import Path
import numpy as np

class Model:
    def __init__(self, scale):
        self.scale = scale

    def predict(self, model_input):
        images = np.asarray(model_input)
        return images.reshape(len(images), -1).mean(axis=1) * self.scale

def _load_pyfunc(path):
    return Model(json.loads((Path(path) / "card.json").read_text())["scale"])
"""


@pytest.fixture(scope="module")
def state(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("checkout") / ".headstart"


@pytest.fixture(scope="module")
def tracking(state, own_mlflow) -> Tracking:
    return open_tracking(state)


@pytest.fixture
def key(request) -> str:
    """Each test has a pipeline run of its own."""
    return f"key of {request.node.name}"


@pytest.fixture
def parent(tracking, key) -> str:
    return tracking.start_pipeline(key)


def run_of(tracking: Tracking, run_id: str):
    return tracking._client.get_run(run_id)


def points_of(tracking: Tracking, run_id: str, metric: str) -> list[tuple[int, float]]:
    return sorted((point.step, point.value) for point in tracking._client.get_metric_history(run_id, metric))


# -- the store -------------------------------------------------------------------------------------------------------


def test_a_first_open_in_a_fresh_process_is_silent_and_leaves_no_half_made_store(tmp_path):
    code = "import sys; from pathlib import Path; from tasks.tracking import open_tracking; open_tracking(Path('s'))"
    process = subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (process.stdout, process.stderr) == ("", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s"]
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["locks", "mlflow.db"]


def test_the_default_store_is_absolute_and_an_address_given_is_kept(monkeypatch, tmp_path):
    state = tmp_path / ".headstart"
    monkeypatch.chdir(tmp_path)
    assert store_uri(Path(".headstart")) == f"sqlite:///{state}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org")
    assert store_uri(state) == "https://mlflow.example.org"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////data/all.db")
    assert store_uri(state) == "sqlite:////data/all.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///all.db")
    assert store_uri(state) == f"sqlite:///{tmp_path}/all.db"


def test_artifacts_lie_beside_the_database_wherever_the_process_is(tracking, state, parent, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "card.json").write_text("{}")
    (tmp_path / "history.csv").write_text("epoch\n")
    tracking.log_artifacts(parent, Path("weights"), "models/target/full")
    tracking.log_artifacts(parent, Path("history.csv"))
    folder = Path(run_of(tracking, parent).info.artifact_uri.removeprefix("file://"))
    assert folder.is_relative_to(state / "mlartifacts")
    assert (folder / "models/target/full/card.json").read_text() == "{}"
    assert (folder / "history.csv").read_text() == "epoch\n"
    with pytest.raises(FileNotFoundError, match=r"nowhere cannot be logged as an artifact: it does not exist"):
        tracking.log_artifacts(parent, tmp_path / "nowhere")


def test_an_address_of_no_known_kind_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "ftp://example.org")
    with pytest.raises(UserError, match=r"MLFLOW_TRACKING_URI=ftp://example.org is not usable.*unset it"):
        open_tracking(tmp_path)


def test_a_deleted_experiment_is_taken_back(tracking, state):
    other = open_tracking(state, "short-lived")
    tracking._client.delete_experiment(other._own_experiment())
    again = open_tracking(state, "short-lived")
    assert again._own_experiment() == other._own_experiment()
    assert again.start_pipeline("works") != ""


# -- the tree --------------------------------------------------------------------------------------------------------


def test_a_pipeline_run_is_one_tree(tracking, key):
    parent = tracking.start_pipeline(key, tags={"preset": "default"}, params={"seeds": 5}, name="digits from mnist5k")
    steps = [tracking.start_step(parent, step, params={"lr": 0.1}) for step in ("pretrain", "finetune@full")]
    top = run_of(tracking, parent)
    assert top.info.run_name == "digits from mnist5k"
    assert top.data.tags["preset"] == "default"
    assert top.data.params == {"seeds": "5"}
    for step, run_id in zip(("pretrain", "finetune@full"), steps, strict=True):
        run = run_of(tracking, run_id)
        assert run.info.run_name == step
        assert run.data.tags["mlflow.parentRunId"] == parent
        assert run.data.tags["headstart.key"] == key
        assert run.data.params == {"lr": "0.1"}
        assert run.data.tags["headstart.pid"] == str(os.getpid())
        assert run.info.status == "RUNNING"


def test_the_same_key_and_step_find_the_same_runs_again(tracking, key, state):
    parent = tracking.start_pipeline(key)
    with pytest.raises(OSError, match="disk"), tracking.ending(tracking.start_step(parent, "pretrain")) as first:
        raise OSError("disk")
    assert run_of(tracking, first).data.tags["headstart.reason"] == "OSError: disk"
    for opened in (tracking, open_tracking(state)):  # a retry in this process, and one in another
        assert opened.start_pipeline(key) == parent
        assert opened.start_step(parent, "pretrain") == first
        run = run_of(tracking, first)
        assert run.info.status == "RUNNING"
        assert "headstart.reason" not in run.data.tags
        tracking._end(first, "FAILED", reason="again")
    assert tracking.start_step(parent, "evaluate") != first


def test_threads_that_start_the_same_step_at_once_share_one_run(tracking, parent):
    found: list[str] = []
    barrier = threading.Barrier(6)

    def start() -> None:
        barrier.wait()
        run_id = tracking.start_step(parent, "extract")
        tracking.log_metrics(run_id, {f"seconds of {threading.get_ident()}": 1.0})
        found.append(run_id)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1
    assert len(run_of(tracking, found[0]).data.metrics) == 6
    assert len(tracking._search({"mlflow.parentRunId": parent})) == 1  # and no phantom beside it


@pytest.mark.parametrize("key", ["it's", 'a "key"'])
def test_a_key_may_hold_quotes(tracking, key):
    assert tracking.start_pipeline(key) == tracking.start_pipeline(key)


def test_a_skipped_step_links_to_the_run_that_made_its_result(tracking, key):
    first = tracking.start_pipeline(f"{key}, first")
    with tracking.ending(tracking.start_step(first, "finetune@full")) as maker:
        tracking.record_result(maker, "digest-of-w")
    second = tracking.start_pipeline(f"{key}, second")
    assert tracking.link_skipped(second, "finetune@full", "digest-of-w") == maker
    assert tracking.link_skipped(second, "extract", "made by dvc repro") is None
    tags = run_of(tracking, second).data.tags
    assert tags["headstart.reused.finetune/full"] == maker  # MLflow takes no @ in a key
    assert tags["headstart.reused.extract"] == "untracked"
    assert tracking._search({"mlflow.parentRunId": second}) == []


# -- ends ------------------------------------------------------------------------------------------------------------


def test_a_run_ends_finished(tracking, parent):
    with tracking.ending(parent) as run_id:
        assert run_id == parent
        assert run_of(tracking, parent).info.status == "RUNNING"
    run = run_of(tracking, parent)
    assert run.info.status == "FINISHED"
    assert run.info.end_time >= run.info.start_time
    assert "headstart.reason" not in run.data.tags


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ValueError("no such block"), "FAILED", "ValueError: no such block"),
        (KeyboardInterrupt(), "KILLED", "KeyboardInterrupt"),
        (SystemExit(143), "KILLED", "SystemExit: 143"),
    ],
)
def test_a_run_that_is_broken_off_says_how(tracking, parent, error, status, reason):
    with pytest.raises(type(error)) as caught, tracking.ending(parent):
        raise error
    assert caught.value is error
    run = run_of(tracking, parent)
    assert run.info.status == status
    assert run.info.end_time >= run.info.start_time
    assert run.data.tags["headstart.reason"] == reason


def test_an_end_that_cannot_be_noted_does_not_hide_the_error(tracking, parent, caplog):
    tracking._client.delete_run(parent)
    with pytest.raises(ValueError, match="the real one"), tracking.ending(parent):
        raise ValueError("the real one")
    assert f"MLflow run {parent} could not be ended as FAILED" in caplog.text


THREE_RUNS = """
import os, signal, sys, time
from pathlib import Path
import mlflow.tracking  # once for the three
from tasks.tracking import open_tracking
for number in range(3):
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        tracking = open_tracking(Path(sys.argv[1]))
        with tracking.ending(tracking.start_pipeline(f"{sys.argv[2]} {number}")) as run_id:
            print(number, os.getpid(), run_id, flush=True)
            time.sleep(120)
time.sleep(120)  # and waits for none of them: what is killed stays a zombie
"""


def wait_until(true) -> None:
    for _ in range(600):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come true within 30 s")


def test_sigterm_ends_killed_and_sigkill_is_closed_by_the_next_start(tracking, state, key):
    process = subprocess.Popen(
        [sys.executable, "-c", THREE_RUNS, str(state), key],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        lines = sorted(process.stdout.readline().split() for _ in range(3))
        (_, first, politely), (_, second, killed), (_, _, living) = lines
        os.kill(int(first), signal.SIGTERM)
        wait_until(lambda: run_of(tracking, politely).info.status == "KILLED")
        os.kill(int(second), signal.SIGKILL)
        # A zombie still has its number and its start time, and is gone all the same.
        wait_until(lambda: Path(f"/proc/{second}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
        assert run_of(tracking, killed).info.status == "RUNNING"
        assert tracking.close_orphans() == [killed]
        run = run_of(tracking, killed)
        assert run.info.status == "KILLED"
        assert run.data.tags["headstart.reason"].startswith(f"process {second} is gone: killed")
        assert run_of(tracking, living).info.status == "RUNNING"
        assert tracking.close_orphans() == []
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    wait_until(lambda: tracking.close_orphans() == [living])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"headstart.host": "another-host", "headstart.pid_started": "1"}, None),
        ({"headstart.pid_namespace": "pid:[1]", "headstart.pid_started": "1"}, None),
        ({"headstart.pid": "not ours"}, None),
        ({}, None),
        ({"headstart.pid_started": "1"}, "is gone: killed"),
        ({"headstart.boot_id": "the boot before"}, "is gone: the machine has been restarted since"),
    ],
)
def test_orphans_are_told_by_host_boot_and_start_time(tracking, parent, changes, reason):
    tracking.set_tags(parent, changes)
    assert tracking.close_orphans() == ([parent] if reason else [])
    run = run_of(tracking, parent)
    assert run.info.status == ("KILLED" if reason else "RUNNING")
    assert (reason or "") in run.data.tags.get("headstart.reason", "")
    tracking._end(parent, "FINISHED")


# -- what is logged --------------------------------------------------------------------------------------------------


def test_metrics_wait_and_go_in_batches_of_at_most_1000(tracking, parent, monkeypatch):
    sizes = []
    send = tracking._client.log_batch

    def spy(run_id, metrics=(), **others):
        sizes.append(len(metrics))
        return send(run_id, metrics=metrics, **others)

    monkeypatch.setattr(tracking._client, "log_batch", spy)
    metrics = tracking.metrics(parent)
    for step in range(1200):
        metrics.add({"loss@b10": 1 / (step + 1), "accuracy": float("nan")}, step=step)
    assert sizes == []
    metrics.flush()
    metrics.flush()
    assert sizes == [1000, 1000, 400]
    points = points_of(tracking, parent, "loss/b10")
    assert len(points) == 1200
    assert points[3] == (3, 0.25)


def test_a_retry_repeats_no_point(tracking, parent):
    first = tracking.metrics(parent)
    for step in range(7):
        first.add({"loss": step / 10}, step=step)
    first.flush()
    resumed = tracking.metrics(parent)  # killed after the flush, resumed from the checkpoint of step 4
    for step in range(4, 10):
        resumed.add({"loss": step / 10, "new": 1.0}, step=step)
    resumed.flush()
    assert points_of(tracking, parent, "loss") == [(step, step / 10) for step in range(10)]
    assert points_of(tracking, parent, "new") == [(step, 1.0) for step in range(4, 10)]
    tracking.log_metrics(parent, {"accuracy": 0.9})
    tracking.log_metrics(parent, {"accuracy": 0.9})
    assert points_of(tracking, parent, "accuracy") == [(0, 0.9)]


def test_params_are_flattened_cut_and_kept_at_their_first_value(tracking, parent, caplog):
    many = {f"p{number}": number for number in range(150)}
    nested = {"source": {"data": "mnist5k", "budgets": [5, 10]}, "finetune@full": {"lr": 0.1}, "none": None}
    tracking.log_params(parent, {**many, **nested, "long": "x" * 7000})
    params = run_of(tracking, parent).data.params
    assert len(params) == 155
    assert params["source.data"] == "mnist5k"
    assert params["source.budgets"] == "[5, 10]"
    assert params["finetune/full.lr"] == "0.1"
    assert params["none"] == "null"
    assert params["long"] == "x" * 5999 + "…"
    assert caplog.text == ""
    tracking.log_params(parent, {"p1": 1, "p2": 3, "late": True})  # a retry, and a change
    assert f"MLflow run {parent} keeps its first values of p2" in caplog.text
    params = run_of(tracking, parent).data.params
    assert (params["p2"], params["late"]) == ("2", "true")


def test_tags_are_cut_and_may_be_many(tracking, parent):
    tracking.set_tags(parent, {f"t{number}": "x" * 9000 for number in range(120)})
    tags = run_of(tracking, parent).data.tags
    assert len(tags["t119"]) == 8000


def test_a_dataset_carries_dvcs_digest_and_its_rows(tracking, parent):
    digest = "0123456789abcdef0123456789abcdef.dir"
    for _ in range(2):  # a retry adds nothing
        tracking.log_dataset(parent, name="mnist5k", digest=digest, source="data/mnist5k", rows=5000, context="source")
    (logged,) = run_of(tracking, parent).inputs.dataset_inputs
    assert (logged.dataset.name, logged.dataset.digest) == ("mnist5k", digest)
    assert json.loads(logged.dataset.source) == {"uri": "data/mnist5k"}
    assert json.loads(logged.dataset.profile) == {"num_rows": 5000}
    assert [(tag.key, tag.value) for tag in logged.tags] == [("mlflow.data.context", "source")]


def test_system_metrics_are_sampled_also_in_a_short_step_and_go_on_in_a_retry(tracking, parent, capfd):
    step = tracking.start_step(parent, "pretrain")
    with tracking.system_metrics(step, interval=60):
        pass
    with tracking.system_metrics(step, interval=0.2):
        time.sleep(0.5)
    points = points_of(tracking, step, "system/system_memory_usage_percentage")
    assert len(points) >= 3
    assert [number for number, _ in points] == list(range(len(points)))
    assert all(0 < percent < 100 for _, percent in points)
    assert capfd.readouterr() == ("", "")
    assert not [thread for thread in threading.enumerate() if thread.name == "SystemMetricsMonitor"]


# -- the registered model --------------------------------------------------------------------------------------------


@pytest.fixture
def model_dir(tmp_path, monkeypatch) -> Path:
    """A delivered model, read-only as DVC leaves it, and a stand-in for headstart.prediction."""
    (tmp_path / "standin_loader.py").write_text(LOADER)
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "full"
    folder.mkdir()
    (folder / "card.json").write_text('{"scale": 2.0}')
    (folder / "card.json").chmod(0o444)
    yield folder
    sys.modules.pop("standin_loader", None)


def register(tracking: Tracking, run_id: str, model_dir: Path, name: str, example: np.ndarray) -> str | None:
    return tracking.models.register(
        run_id,
        model_dir,
        name=name,
        pip_requirements=["numpy"],
        input_example=example,
        card={"strategy": "full", "classes": ["0", "1"], "label_budget": 10},
        loader_module="standin_loader",
    )


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_the_registered_model_predicts(tracking, parent, model_dir, monkeypatch, dtype, capfd):
    import mlflow

    name = f"headstart-{dtype}"
    example = np.ones((2, 28, 28, 1), dtype)
    assert register(tracking, parent, model_dir, name, example) == "1"
    assert capfd.readouterr() == ("", "")
    monkeypatch.setattr(mlflow.tracking._tracking_service.utils, "_tracking_uri", tracking.uri)
    model = mlflow.pyfunc.load_model(f"models:/{name}/1")
    images = np.stack([np.full((28, 28, 1), value, dtype) for value in range(5)])
    assert model.predict(images).tolist() == [0.0, 2.0, 4.0, 6.0, 8.0]
    (tensor,) = model.metadata.signature.inputs.inputs
    assert (tensor.type, tensor.shape) == (np.dtype(dtype), (-1, 28, 28, 1))
    version = tracking._client.get_model_version(name, "1")
    assert version.tags == {"strategy": "full", "classes": '["0", "1"]', "label_budget": "10"}
    assert version.run_id == parent
    requirements = Path(version.source.removeprefix("file://")) / "requirements.txt"
    assert requirements.read_text().splitlines()[-1] == "numpy"


def test_a_result_counts_as_registered_while_it_is_the_newest_version(tracking, model_dir):
    """A setting that is put back brings an older result back, which `models:/name` must mean then."""
    example = np.ones((2, 8, 8, 3), "uint8")

    def add(result: str) -> None:
        tracking.models.register(
            tracking.start_pipeline(result),
            model_dir,
            name="turns",
            pip_requirements=["numpy"],
            input_example=example,
            card={"headstart.result": result},
            loader_module="standin_loader",
        )

    assert not tracking.models.is_registered("turns", "first")
    add("first")
    assert tracking.models.is_registered("turns", "first")
    add("second")
    assert tracking.models.is_registered("turns", "second")
    assert not tracking.models.is_registered("turns", "first")


def test_registering_makes_no_other_run_and_again_no_other_version(tracking, parent, model_dir):
    before = len(tracking._search({}, also="attributes.status = 'RUNNING'"))
    example = np.ones((2, 8, 8, 3), "uint8")
    assert register(tracking, parent, model_dir, "once", example) == "1"
    assert register(tracking, parent, model_dir, "once", example) == "1"
    assert len(tracking._client.search_model_versions("name = 'once'")) == 1
    assert len(tracking._search({}, also="attributes.status = 'RUNNING'")) == before


@pytest.mark.parametrize(("shape", "dtype"), [((1, 8, 8, 3), "uint8"), ((2, 8, 8), "uint8"), ((2, 8, 8, 3), "float64")])
def test_an_example_that_would_hide_a_fixed_batch_is_refused(tracking, parent, model_dir, shape, dtype):
    with pytest.raises(ValueError, match=r"must be float32 or uint8 of shape \(2 or more"):
        register(tracking, parent, model_dir, "refused", np.ones(shape, dtype))


def test_a_model_that_predicts_one_for_all_is_refused(tracking, parent, model_dir):
    loader = model_dir.parent / "standin_loader.py"
    loader.write_text(LOADER.replace("return images.reshape", "return images[:1].reshape(1, -1).mean(axis=1)\n#"))
    with pytest.raises(ValueError, match="full gives 1 predictions for 2 rows"):
        register(tracking, parent, model_dir, "refused", np.ones((2, 8, 8, 3), "uint8"))


# -- a server, and one that is away ----------------------------------------------------------------------------------


class Line:
    """The line to a server, on a port of its own, that can be cut and mended."""

    def __init__(self, server_port: int):
        self.server_port = server_port
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    def mend(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.open: list[socket.socket] = []
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def cut(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept, which close alone does not
        self.listener.close()
        for end in self.open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = listener.accept()
                there = socket.create_connection(("127.0.0.1", self.server_port))
                self.open += [here, there]
                for source, sink in ((here, there), (there, here)):
                    threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(65536):
                sink.sendall(block)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture(scope="module")
def line(tracking, state):
    """A line to MLflow's own server over the store of this file, started as `make ui` starts it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        ui_command(state, port), cwd=state, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
                assert answer.read() == b"OK"
                break
            assert server.poll() is None
            time.sleep(0.1)
        line = Line(port)
        line.mend()
        yield line
        line.cut()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def test_the_ui_is_one_worker_on_loopback_over_the_same_store(line, parent, key):
    request = urllib.request.Request(
        f"http://127.0.0.1:{line.server_port}/api/2.0/mlflow/runs/get?run_id={parent}",
    )
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["run"]["info"]["run_name"] == key
    with urllib.request.urlopen(f"http://127.0.0.1:{line.server_port}/") as answer:
        assert b"<title>MLflow</title>" in answer.read()


def test_a_run_goes_on_while_the_server_is_away_and_loses_nothing(
    line, tracking, tmp_path, key, monkeypatch, caplog, capfd
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{line.port}")
    monkeypatch.setattr(runs, "AWAY_SECONDS", 3600)
    (tmp_path / "weights.bin").write_bytes(b"w")
    remote = open_tracking(tmp_path / "state")
    parent = remote.start_pipeline(key)
    remote.log_metrics(parent, {"loss": 1.0}, step=1)
    spool = tmp_path / "state" / "mlflow-spool.jsonl"

    line.cut()
    began = time.monotonic()
    with remote.ending(parent):
        remote.log_metrics(parent, {"loss": 0.5}, step=2)
        remote.log_params(parent, {"lr": 0.1})
        with remote.ending(remote.start_step(parent, "pretrain", params={"epochs": 8})) as step:
            remote.log_dataset(step, name="mnist5k", digest="d" * 32, source="data/mnist5k", rows=5000)
            remote.log_artifacts(step, tmp_path / "weights.bin")
            with remote.system_metrics(step):
                remote.log_metrics(step, {"accuracy": 0.9})
        assert remote.link_skipped(parent, "extract", "some digest") is None
        assert remote.close_orphans() == []
    away = open_tracking(tmp_path / "state")  # a worker that starts meanwhile
    away.set_tags(step, {"from": "the worker"})
    assert time.monotonic() - began < 30
    assert "the run goes on, and what it logs waits in" in caplog.text
    assert len(spool.read_text().splitlines()) == 10

    line.mend()
    (tmp_path / "weights.bin").unlink()  # an artifact that is gone by then is dropped, and said
    caplog.clear()
    open_tracking(tmp_path / "state")
    assert not spool.exists()
    assert "cannot be sent and is dropped" in caplog.text
    assert len(caplog.records) == 1
    assert points_of(tracking, parent, "loss") == [(1, 1.0), (2, 0.5)]
    top = run_of(tracking, parent)
    assert (top.info.status, top.data.params) == ("FINISHED", {"lr": "0.1"})
    (child,) = tracking._search({"mlflow.parentRunId": parent})
    assert (child.info.run_name, child.info.status) == ("pretrain", "FINISHED")
    assert child.data.params == {"epochs": "8"}
    assert child.data.metrics == {"accuracy": 0.9}
    assert child.data.tags["from"] == "the worker"
    assert child.data.tags["headstart.key"] == key
    assert child.inputs.dataset_inputs[0].dataset.name == "mnist5k"
    assert capfd.readouterr().out == ""


def test_a_run_finds_the_server_back_by_itself(line, tracking, tmp_path, key, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{line.port}")
    monkeypatch.setattr(runs, "AWAY_SECONDS", 0)
    remote = open_tracking(tmp_path)
    line.cut()
    parent = remote.start_pipeline(key)
    remote.log_metrics(parent, {"loss": 1.0}, step=1)
    line.mend()
    remote.log_metrics(parent, {"loss": 0.5}, step=2)
    assert not (tmp_path / "mlflow-spool.jsonl").exists()
    with remote.ending(parent):
        pass
    (run,) = tracking._search({"headstart.key": key})
    assert run.info.status == "FINISHED"
    assert points_of(tracking, run.info.run_id, "loss") == [(1, 1.0), (2, 0.5)]
    assert remote.start_pipeline(key) == run.info.run_id
    assert remote.experiment_url(1).startswith(f"http://127.0.0.1:{line.port}/#/experiments/")


def test_what_waits_stays_whole_when_the_server_goes_away_again(tracking, tmp_path, parent, monkeypatch):
    import requests

    other = Tracking(tracking._client, uri=tracking.uri, state=tmp_path, experiment="headstart")
    other._spool([{"operation": "tags", "run": parent, "payload": {f"n{number}": "x"}} for number in range(5)])
    send = sent.OPERATIONS["tags"]

    def twice(client, run_id, payload):
        if "n2" in payload:
            raise requests.ConnectionError("gone")
        send(client, run_id, payload)

    monkeypatch.setitem(sent.OPERATIONS, "tags", twice)
    other.set_tags(parent, {"n5": "x"})
    waiting = [json.loads(text)["payload"] for text in other._spool_path().read_text().splitlines()]
    assert waiting == [{f"n{number}": "x"} for number in range(2, 6)]
    monkeypatch.setitem(sent.OPERATIONS, "tags", send)
    other._away_until = 0
    other.set_tags(parent, {"n6": "x"})
    assert {f"n{number}" for number in range(7)} <= set(run_of(tracking, parent).data.tags)


def test_a_bug_is_no_absence(tracking, parent):
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match="tags"):
        tracking._write("tags", parent, {"a@b": "MLflow takes no @"})
    assert not tracking._spool_path().exists()


def test_an_upgrade_of_mlflow_is_told_how_to_go_on(tmp_path, state, tracking):
    import shutil
    import sqlite3

    from headstart.errors import HeadstartError

    shutil.copy(state / "mlflow.db", tmp_path / "mlflow.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        database.commit()
    with pytest.raises(HeadstartError, match=r"cannot be opened: .*mlflow db upgrade"):
        open_tracking(tmp_path)


def test_the_page_opens_at_the_experiments_runs(tracking, state):
    number = tracking._own_experiment()
    expected = f"http://127.0.0.1:5001/#/experiments/{number}/runs?workflowType=machine_learning"
    assert tracking.experiment_url(5001) == expected
    tags = tracking._client.get_experiment(number).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"


def test_the_ui_of_a_server_is_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example.org")
    with pytest.raises(UserError, match=r"is a server with a UI of its own; open http://mlflow.example.org"):
        ui_command(tmp_path, 5001)
