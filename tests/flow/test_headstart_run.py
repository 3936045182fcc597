"""`headstart run` as a user starts it: the flow under a real Prefect server, its MLflow tree, its words, its failures.

The first run is shared with tests/repro; a copy of its project then goes through a run that fails and one that is
stopped.
"""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest

STRATEGIES = ("source", "scratch", "linear_probe", "frozen_blocks", "full", "lp_ft")
STEPS = ["ingest_target", "ingest_source@shapes", "pretrain@shapes", "extract", "explore", "quality", "rank"]
STEPS += [f"finetune@{name}" for name in STRATEGIES] + ["remedy", "select", "evaluate", "report"]
LINE = re.compile(r"\d\d:\d\d:\d\d  \S.*")


def prefect_states(project, table: str) -> list[tuple[str, str]]:
    """(name, state) of flow or task runs in Prefect's own database, in the order in which they were made."""
    with sqlite3.connect(project.root / ".headstart" / "prefect" / "prefect.db") as database:
        rows = database.execute(f"select name, state_type from {table} order by created, start_time").fetchall()
    database.close()
    return rows


@pytest.fixture(scope="module")
def client_of():
    """Opens a project's MLflow store as a user's notebook would."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
            patch.delenv(name, raising=False)
        from tasks import tracking

        for name in tracking.ENVIRONMENT:
            patch.setenv(name, tracking.ENVIRONMENT[name])

        def open_store(project):
            from mlflow.tracking import MlflowClient

            tracking.ignore_known_warnings()
            return MlflowClient(f"sqlite:///{project.root}/.headstart/mlflow.db")

        yield open_store


def runs_of(client) -> list:
    """All MLflow runs, oldest first."""
    experiment = client.get_experiment_by_name("headstart").experiment_id
    return list(client.search_runs([experiment], order_by=["attributes.start_time ASC"], max_results=1000))


def children(runs: list, parent) -> list:
    return [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]


def parents(runs: list) -> list:
    return [run for run in runs if "mlflow.parentRunId" not in run.data.tags]


def processes_of(project) -> list[psutil.Process]:
    """Every process that is at work in the project."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == project.root and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


# -- the first run ---------------------------------------------------------------------------------------------------


def test_it_ends_with_the_verdict_the_model_and_the_report(first_run):
    project, done = first_run
    lines = done.stdout.splitlines()
    chosen = lines[-3].removeprefix("model:  models/target/")
    assert chosen in STRATEGIES
    assert (project.root / "models" / "target" / chosen / "weights.safetensors").is_file()
    assert lines[-2] == "report: reports/report.html"
    assert (project.root / "reports" / "report.html").read_text().lstrip().startswith("<!doctype html>")
    assert lines[-1] == "runs:   make ui"
    assert f"{chosen} " in lines[-5]
    assert "points over training from scratch" in lines[-5]
    assert lines[0] == "registered with MLflow: headstart-sketches, version 1"


def test_its_log_has_no_noise_and_no_line_twice(first_run):
    _, done = first_run
    lines = done.stderr.splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    words = [line[10:] for line in lines]
    assert [line for line, count in Counter(words).items() if count > 1] == []
    own = [line for line in words if line.startswith("warning: ")]  # the verdict's own warnings are meant to be read
    assert [line for line in words if "warn" in line.lower() and line not in own] == []
    for step in STEPS:
        assert any(line.startswith(f"{step}: ") and "peak memory" in line for line in words), step


def test_it_leaves_nothing_in_the_checkout_but_what_git_should_have(first_run):
    project, _ = first_run
    assert project.run("git", "status", "--porcelain").stdout.split("\n") == ["?? dvc.lock", ""]
    assert sorted(path.name for path in (project.root / ".headstart").iterdir()) == [
        "cells",
        "locks",
        "mlartifacts",
        "mlflow.db",
        "opened.json",
        "prefect",
    ]
    left = [path.name for path in project.root.rglob("*") if ".tmp-" in path.name or ".old-" in path.name]
    assert left == []
    assert processes_of(project) == []


def test_prefect_shows_the_steps_by_name(first_run):
    project, _ = first_run
    assert prefect_states(project, "flow_run") == [("shapes to sketches", "COMPLETED")]
    states = prefect_states(project, "task_run")
    assert {state for _, state in states} == {"COMPLETED"}
    grid = "4 labels a class, 2 seeds"
    assert [re.sub(r" \([^()]*(\([^()]*\)[^()]*)*\)$", " (device)", name) for name, _ in states] == [
        "ingest target sketches",
        "ingest source shapes",
        "pretrain resnet8 on shapes (device)",
        "extract features of shapes and sketches (device)",
        "explore",
        "quality",
        "rank",
        *(f"finetune {name}, {grid} (device)" for name in STRATEGIES),
        "remedy (device)",
        "select (device)",
        "evaluate",
        "report",
    ]


def test_mlflow_has_one_tree_that_is_finished(first_run, client_of):
    project, done = first_run
    runs = runs_of(client_of(project))
    (parent,) = parents(runs)
    assert parent.info.run_name == "shapes -> sketches"
    assert parent.data.tags["headstart.verdict"] == done.stdout.splitlines()[-5]
    assert parent.data.params["strategies.full.steps"] == "8"
    assert [run.info.run_name for run in children(runs, parent)] == STEPS
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_it_records_what_it_takes_to_make_it_again(first_run):
    from tasks import record
    from tasks.workspace import Workspace

    project, _ = first_run
    workspace = Workspace(project.root)
    recipe = record.find(workspace, "latest")
    assert recipe.revision == project.run("git", "rev-parse", "HEAD").stdout.strip()
    assert recipe.params == workspace.params.read_text()
    assert recipe.lock == (project.root / "dvc.lock").read_text()
    assert recipe.name.endswith("(shapes -> sketches)")
    done = project.headstart("reproduce", "nightly", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "error: no run 'nightly' left a result here; give `latest`, the name of an experiment"
    )


def test_mlflow_has_what_each_step_measured(first_run, client_of):
    project, _ = first_run
    runs = {run.info.run_name: run for run in runs_of(client_of(project))}
    for step in STEPS:
        assert runs[step].data.metrics["seconds"] > 0, step
        assert runs[step].data.metrics["peak_memory_mib"] > 10, step
    assert 0 <= runs["pretrain@shapes"].data.metrics["accuracy"] <= 1
    assert 0 <= runs["finetune@full"].data.metrics["validation.accuracy"] <= 1
    assert "system/cpu_utilization_percentage" in runs["pretrain@shapes"].data.metrics
    assert runs["pretrain@shapes"].data.tags["headstart.device"]
    (read,) = runs["pretrain@shapes"].inputs.dataset_inputs
    digest = (project.root / "data" / "shapes.dvc").read_text().split("md5: ")[1].split()[0]
    assert (read.dataset.name, read.dataset.digest) == ("shapes", digest)


def test_mlflow_has_w_and_the_reports_as_artifacts(first_run, client_of):
    project, _ = first_run
    client = client_of(project)
    runs = {run.info.run_name: run.info.run_id for run in runs_of(client)}
    logged = {item.path for item in client.list_artifacts(runs["pretrain@shapes"], "shapes")}
    logged.discard("shapes/warning.txt")  # after two epochs on few pictures W may be at chance
    assert logged == {f"shapes/{name}" for name in ("card.json", "history.csv", "manifest.json", "weights.safetensors")}
    copy = client.download_artifacts(runs["pretrain@shapes"], "shapes/weights.safetensors")
    original = project.root / "models" / "source" / "shapes" / "weights.safetensors"
    assert Path(copy).read_bytes() == original.read_bytes()
    assert [item.path for item in client.list_artifacts(runs["report"])] == ["report.html"]


def test_the_registered_model_predicts_as_the_delivered_one(first_run, client_of, monkeypatch):
    from headstart.datasets.pack import Pack
    from headstart.prediction import load

    project, done = first_run
    client = client_of(project)
    import mlflow

    version = client.get_model_version("headstart-sketches", "1")
    chosen = project.root / done.stdout.splitlines()[-3].removeprefix("model:  ")
    assert version.tags["strategy"] == chosen.name
    assert version.description.startswith(f"**{done.stdout.splitlines()[-5]}**")
    assert sorted(version.aliases) == ["challenger", "champion"]
    assert re.search(r"champion: version 1 now: there was none before$", done.stderr, re.MULTILINE)
    images = np.array(Pack(project.root / "packs" / "sketches").inputs[:5])
    expected = load(chosen).predict(images)
    uri = f"sqlite:///{project.root}/.headstart/mlflow.db"
    monkeypatch.setattr(mlflow.tracking._tracking_service.utils, "_tracking_uri", uri)
    served = mlflow.pyfunc.load_model("models:/headstart-sketches/1").predict(images.transpose(0, 2, 3, 1))
    assert list(served.columns) == [
        *("prediction", "probability.bar", "probability.cross", "probability.disc"),
        *("distance", "out_of_domain"),
    ]
    assert served.equals(expected)
    weights = Path(version.source.removeprefix("file://")) / "data" / chosen.name / "weights.safetensors"
    assert weights.read_bytes() == (chosen / "weights.safetensors").read_bytes()


def test_a_second_run_says_that_nothing_changed_and_starts_nothing(first_run, tmp_path):
    project, done = first_run
    again = project.copy(tmp_path)  # a run that did start something would leave it in the shared project
    start = time.monotonic()
    second = again.headstart("run")
    assert time.monotonic() - start < 15  # 2 s on a quiet machine; with Prefect and MLflow it takes 15 and more
    lines = done.stdout.splitlines()
    assert second.stdout.splitlines() == ["nothing changed since the last run", *lines[1:]]
    assert second.stderr == ""
    assert len(prefect_states(again, "flow_run")) == 1


# -- runs that fail, are stopped, and go on ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(first_run, tmp_path_factory):
    """The project of the first run in a place of its own."""
    return first_run[0].copy(tmp_path_factory.mktemp("flow"))


def start(project, *flags: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "run", *flags],
        cwd=project.root,
        env=project.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a process group of its own, as a terminal gives one
    )


def wait_until(condition, *, process=None, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.05)


@pytest.mark.scenario
def test_a_step_that_fails_fails_the_run(project, first_run, client_of):
    client = client_of(project)
    first = {run.info.run_name: run.info.run_id for run in runs_of(client)}
    recorded = (project.root / "dvc.lock").read_bytes()
    code = project.root / "headstart" / "strategies" / "full.py"
    sound = code.read_text()
    code.write_text(
        "from headstart.errors import DataError\n\n\ndef fit(cell):\n    raise DataError('full cannot be had')\n"
    )
    done = project.headstart("run", check=False)
    code.write_text(sound)
    assert (done.returncode, done.stdout) == (2, "")
    *log, error = done.stderr.splitlines()
    assert error == "error: full cannot be had"
    assert [line for line in log if not LINE.fullmatch(line)] == []  # no stack, and not Prefect's words for it
    assert (project.root / "dvc.lock").read_bytes() == recorded
    assert prefect_states(project, "flow_run")[-1][1] == "FAILED"
    assert prefect_states(project, "task_run")[-1][1] == "FAILED"

    runs = runs_of(client)
    parent = parents(runs)[-1]
    assert parent.info.status == "FAILED"
    assert "full cannot be had" in parent.data.tags["headstart.reason"]
    assert [(run.info.run_name, run.info.status) for run in children(runs, parent)] == [("finetune@full", "FAILED")]
    reused = {key: value for key, value in parent.data.tags.items() if key.startswith("headstart.reused.")}
    assert (
        reused
        == {  # skipped steps have no child; the parent links to the runs that made their results
            "headstart.reused.ingest_target": first["ingest_target"],
            "headstart.reused.ingest_source/shapes": first["ingest_source@shapes"],
            "headstart.reused.pretrain/shapes": first["pretrain@shapes"],
            "headstart.reused.extract": first["extract"],
            "headstart.reused.explore": first["explore"],
            "headstart.reused.quality": first["quality"],
            "headstart.reused.rank": first["rank"],
            **{f"headstart.reused.finetune/{name}": first[f"finetune@{name}"] for name in STRATEGIES[:4]},
        }
    )
    assert processes_of(project) == []


def test_more_labels_than_there_are_are_refused_before_anything_starts(project, first_run):
    before = (project.root / "params.yaml").read_bytes()
    done = project.headstart("run", "--finetune.label_budget", "40", check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "error: finetune.label_budget is 40, but there are only 14 labelled rows outside the test rows (of classes: of "
        "the smallest); set it to 14 or less"
    )
    assert len(done.stderr.splitlines()) == 1, "no server, no step"
    assert done.stdout.splitlines()[-1] == "params.yaml is as it was"
    assert (project.root / "params.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            ["--target.unseen", "dics"],
            "error: target.unseen names 'dics', which is no class of sketches; did you mean ",
        ),
        (
            ["--finetune.strategies", "scratch,joint_attributes"],
            "error: joint_attributes needs a source whose rows have ",
        ),
    ],
)
def test_what_has_no_meaning_here_is_refused_before_anything_starts(project, first_run, flags, said):
    before = (project.root / "params.yaml").read_bytes()
    done = project.headstart("run", *flags, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert done.stderr.startswith(said)
    assert (project.root / "params.yaml").read_bytes() == before


@pytest.mark.scenario
@pytest.mark.parametrize(
    ("send", "code"),
    [
        (lambda process: process.send_signal(signal.SIGTERM), 143),
        (lambda process: os.killpg(process.pid, signal.SIGINT), 130),  # Ctrl-C: the whole group is told
    ],
    ids=["SIGTERM", "Ctrl-C"],
)
def test_a_run_that_is_told_to_stop_stops_at_once(project, client_of, send, code):
    client = client_of(project)
    stopped = start(project, "--strategies.scratch.steps", "20000")
    database = project.root / ".headstart" / "mlflow.db"
    try:
        wait_until(lambda: running_steps(database) == ["finetune@scratch"], process=stopped)
        wait_until(lambda: len(processes_of(project)) > 4, process=stopped)  # server, workers and what starts them
        time.sleep(1)
        send(stopped)
        begun = time.monotonic()
        out, err = stopped.communicate(timeout=120)
    finally:
        stopped.kill()
    assert stopped.returncode == code
    assert time.monotonic() - begun < 25  # it does not wait for the cells that are at work, which take minutes
    *log, last = err.splitlines()
    assert last == "stopped; finished cells and steps are kept, run again to go on"
    assert [line for line in log if not LINE.fullmatch(line)] == []
    assert out.splitlines()[-1] == "back: headstart run --strategies.scratch.steps 12"
    runs = runs_of(client)
    parent = parents(runs)[-1]
    assert parent.info.status == "KILLED"
    assert [(run.info.run_name, run.info.status) for run in children(runs, parent)] == [("finetune@scratch", "KILLED")]
    assert prefect_states(project, "flow_run")[-1][1] == "CRASHED"
    wait_until(lambda: processes_of(project) == [], seconds=5)
    project.set(strategies__scratch__steps=12)


def running_steps(database: Path) -> list[str]:
    """Names of the steps whose MLflow run is open."""
    connection = sqlite3.connect(database)
    rows = connection.execute("select name from runs where status = 'RUNNING' order by start_time").fetchall()
    connection.close()
    return [name for (name,) in rows[1:]]


def test_the_flow_does_nothing_after_dvc_repro_but_register_the_model(cold, tmp_path, client_of, monkeypatch):
    from tasks.versioning import versioning_of
    from tasks.warm import open_run
    from tasks.workspace import Workspace

    project = cold.copy(tmp_path)
    monkeypatch.chdir(project.root)
    workspace = Workspace(project.root)
    client_of(project)
    registered = []
    for key in ("first", "second"):
        versioning_of.cache_clear()
        with open_run(workspace, workspace.settings(), key) as run:
            for step in STEPS:
                run.step(*step.split("@"))
            registered.append(run.conclude())
        assert {result.outcome for result in run.results.values()} == {"unchanged"}
    assert registered == ["headstart-sketches, version 1", None]
    runs = runs_of(client_of(project))
    assert [(run.info.run_name, run.info.status) for run in runs] == [("shapes -> sketches", "FINISHED")] * 2
    assert runs[0].data.tags["headstart.reused.finetune/full"] == "untracked"  # no MLflow run made it: dvc repro did


ORPHANING = """
import os, signal
from pathlib import Path
from flows.server import start_prefect

with start_prefect(Path(".headstart").resolve()) as server:
    from prefect import flow

    server.wait()

    @flow(persist_result=False)
    def doomed():
        os.kill(os.getpid(), signal.SIGKILL)

    doomed()
"""


@pytest.mark.scenario
def test_the_server_of_a_killed_run_is_swept_and_that_of_a_living_run_is_not(project):
    from flows.server import sweep_servers

    home = str(project.root / ".headstart" / "prefect")
    killed = subprocess.run([sys.executable, "-c", ORPHANING], cwd=project.root, env=project.env, check=False)
    assert killed.returncode == -signal.SIGKILL
    (server,) = processes_of(project)
    assert "prefect.server.api.server:create_app" in server.cmdline()
    assert sweep_servers(str(project.root / "another")) == []
    assert sweep_servers(home) == [server.pid]
    psutil.wait_procs([server], timeout=10)
    assert not server.is_running()
    assert sweep_servers(home) == []


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_that_the_next_does_not_mend(make_project, client_of):
    project, other = (make_project(strategies__full__steps=3000) for _ in range(2))
    database = project.root / ".headstart" / "mlflow.db"
    killed = start(project)
    wait_until(lambda: database.exists() and running_steps(database) == ["finetune@full"], process=killed, seconds=300)
    time.sleep(3)
    workers = processes_of(project)
    finished = project.cells()
    killed.kill()
    killed.communicate()
    wait_until(lambda: len([worker for worker in workers if worker.is_running()]) == 1, seconds=5)
    (server,) = processes_of(project)  # Prefect's stays, until the next run sweeps it
    done = project.headstart("run", timeout=600)
    assert not server.is_running()
    assert {name: when for name, when in project.cells().items() if name in finished} == finished
    client = client_of(project)
    runs = runs_of(client)
    old, new = parents(runs)
    assert [(run.info.run_name, run.info.status) for run in children(runs, old)][-1] == ("finetune@full", "KILLED")
    assert [run.info.run_name for run in children(runs, new)] == [
        "finetune@full",
        "finetune@lp_ft",
        "remedy",
        "select",
        "evaluate",
        "report",
    ]
    assert (old.info.status, new.info.status) == ("KILLED", "FINISHED")
    assert "registered with MLflow: headstart-sketches, version 1" in done.stdout
    other.headstart("run", timeout=600)
    assert project.weights() == other.weights()
    for name in ("predictions.parquet", "verdict.json"):
        assert (project.root / "reports" / name).read_bytes() == (other.root / "reports" / name).read_bytes()
