"""`headstart serve` as a user starts it: real servers, a run from its page to its artifacts, cancelled, and stopped."""

import json
import sqlite3
import stat
from collections import Counter
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest
from serving import TRANSFER, Serving

from flows.serving.automations import FAILED

pytestmark = pytest.mark.scenario


def processes_of(project) -> list[str]:
    """The commands of all processes that serving, or a run of it, has started and left."""
    found = []
    for process in psutil.process_iter():
        try:
            told = process.environ()
            inside = Path(process.cwd()).is_relative_to(project.root)
            if process.status() != psutil.STATUS_ZOMBIE and (
                inside or told.get("HEADSTART_SERVES") == str(project.root / ".headstart")
            ):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def open_runs(project) -> list[str]:
    """Names of what stands as running in the databases of Prefect and of MLflow."""
    names = []
    for path, table, state in (("prefect/prefect.db", "flow_run", "state_type"), ("mlflow.db", "runs", "status")):
        with sqlite3.connect(project.root / ".headstart" / path) as database:
            names += database.execute(f"select name, {state} from {table}").fetchall()
        database.close()
    return [name for name, state in names if state in ("RUNNING", "PENDING", "CANCELLING")]


def states_of(project, run: str) -> list[str]:
    """The states that a flow run went through, by Prefect's database."""
    with sqlite3.connect(project.root / ".headstart" / "prefect" / "prefect.db") as database:
        found = database.execute(
            "select type, message from flow_run_state where flow_run_id = ? order by timestamp", (run,)
        ).fetchall()
    database.close()
    return [f"{kind}: {message}" if message else kind for kind, message in found]


def told_of_failures(serving) -> int:
    """How often the automation for a run that failed has had its say."""
    wanted = {"filter": {"event": {"name": ["prefect.automation.triggered"]}}, "limit": 50}
    found = serving.ask("POST", "/events/filter", wanted)["events"]
    return sum(event["resource"].get("prefect.resource.name") == FAILED for event in found)


@pytest.fixture(scope="module")
def serving(make_project, tmp_path_factory):
    project = make_project(**{"finetune.strategies": ["scratch", "linear_probe", "full"], "pretrain.epochs": 2})
    serving = Serving(project, tmp_path_factory.mktemp("serve") / "log.txt")
    yield serving
    if serving.process.poll() is None:
        serving.stop()


def test_it_says_where_everything_is_and_a_second_start_says_that_it_is_up(serving):
    experiments = "/#/experiments?workflowType=machine_learning"  # by its plain address it opens another mode
    lines = [
        f"Prefect: http://127.0.0.1:{serving.ports[0]} (it asks once for what is in .headstart/prefect-password)",
        f"MLflow:  http://127.0.0.1:{serving.ports[1]}{experiments}",
    ]
    assert serving.log.read_text().splitlines()[-2:] == lines
    second = serving.project.headstart(*serving.words)
    assert second.stdout.splitlines() == [f"it is up already (process {serving.process.pid})", *lines]
    elsewhere = serving.project.headstart("serve", "--port", "4300")
    said = f"--port 4300 changes nothing while it is up at {serving.served.prefect}: stop it there (Ctrl-C), and start"
    assert elsewhere.stdout.splitlines()[:-1] == second.stdout.splitlines()
    assert elsewhere.stdout.splitlines()[-1] == f"{said} it anew"
    for site in (serving.served.prefect, serving.served.mlflow):
        with urlopen(site, timeout=60) as page:
            assert b"<html" in page.read().lower()
    listening = {c.laddr.ip for c in psutil.net_connections("tcp") if c.laddr.port in serving.ports and not c.raddr}
    assert listening == {"127.0.0.1"}


def test_who_has_no_password_or_comes_by_another_name_is_not_answered(serving):
    """Other users of the machine, and pages in its browser: by a name of theirs that points here, or as they are."""
    path = Path(serving.served.password)
    assert path == serving.project.root / ".headstart" / "prefect-password"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert serving.password not in serving.log.read_text()
    for guess in ({}, {"Authorization": "Basic Z3Vlc3NlZDpndWVzc2Vk"}):
        assert status(f"{serving.served.api}/deployments/filter", guess, b"{}") == 401
    assert status(f"{serving.served.mlflow}/ajax-api/2.0/mlflow/experiments/search?max_results=1") == 200
    named = {"Host": "evil.example.org"}
    assert status(f"{serving.served.mlflow}/ajax-api/2.0/mlflow/experiments/search?max_results=1", named) == 403
    asking = {"Origin": "http://evil.example.org", "Access-Control-Request-Method": "POST"}
    request = Request(f"{serving.served.api}/deployments/filter", headers=asking, method="OPTIONS")
    with pytest.raises(HTTPError) as refused:
        urlopen(request, timeout=60)
    assert refused.value.headers.get("access-control-allow-origin") is None
    refused.value.close()


def status(url: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> int:
    try:
        with urlopen(Request(url, body, {"Content-Type": "application/json"} | (headers or {})), timeout=60) as answer:
            return answer.status
    except HTTPError as error:
        with error:
            return error.code


def test_the_deployments_are_there_with_schedules_that_nobody_switched_on(serving):
    found = serving.ask("POST", "/deployments/filter", {})
    assert {one["name"] for one in found} == {"transfer", "beside", "rank-sources", "predict", "reproduce"}
    transfer = next(one for one in found if one["name"] == "transfer")
    assert [(one["slug"], one["active"]) for one in transfer["schedules"]] == [("nightly", False)]
    assert transfer["global_concurrency_limit"]["limit"] == 1
    assert transfer["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert transfer["entrypoint"] == "flows.serve:transfer"
    form = transfer["parameter_openapi_schema"]["definitions"]["TransferSettings"]["properties"]
    assert "resnet18" in form["backbone"]["enum"]
    assert form["target"]["default"] == "sketches"
    with pytest.raises(HTTPError) as refused:
        serving.start({"settings": {"seeds": 0}})
    assert "0 is less than the minimum of 1" in refused.value.read().decode()


def test_an_edited_params_yaml_is_in_the_form_and_a_schedule_that_was_switched_on_stays_on(serving):
    def transfer():
        return serving.ask("GET", f"/deployments/name/{TRANSFER}")

    def filled_in(labels):
        form = transfer()["parameter_openapi_schema"]["definitions"]["TransferSettings"]["properties"]
        return form["labels_per_class"]["default"] == labels

    def switch(on):
        (schedule,) = transfer()["schedules"]
        serving.ask("PATCH", f"/deployments/{transfer()['id']}/schedules/{schedule['id']}", {"active": on})

    switch(True)
    serving.project.set(finetune__label_budget=6)
    serving.until(lambda: filled_in(6), 180)
    serving.until(lambda: "the forms are made anew" in serving.log.read_text(), 180)
    assert [schedule["active"] for schedule in transfer()["schedules"]] == [True]
    switch(False)
    serving.project.run("git", "checkout", "params.yaml")
    serving.until(lambda: filled_in(4), 180)
    serving.until(lambda: serving.log.read_text().count("the forms are made anew") == 2, 180)


def test_settings_that_do_not_fit_together_fail_at_once_in_one_line(serving):
    run = serving.ended(serving.start({"settings": {"strategies": ["full"]}}), 180)
    assert run["state_type"] == "FAILED"
    assert run["state"]["message"].startswith("finetune.strategies must include scratch")
    assert serving.below(run["id"]) == []


def test_a_run_from_the_page_ends_with_its_verdict_beside_it(serving):
    before = serving.project.run("git", "status", "--porcelain").stdout
    run = serving.ended(serving.start({"settings": {"labels_per_class": 5, "other": {"strategies.full.steps": 9}}}))
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert "points over training from scratch" in run["state"]["message"]
    assert run["name"] == "transfer, 5 labels a class, strategies.full.steps 9"
    own = {artifact["key"]: artifact for artifact in serving.of("artifacts", run["id"])}
    assert run["state"]["message"] in own["verdict"]["data"]
    rows = (
        json.loads(own["comparison"]["data"])
        if isinstance(own["comparison"]["data"], str)
        else own["comparison"]["data"]
    )
    assert {row["strategy"] for row in rows} >= {"scratch", "linear_probe", "full"}
    for key in ("mlflow-run", "report"):
        assert f"({serving.served.mlflow}/#/experiments/" in own[key]["data"]
    words = [line["message"] for line in serving.of("logs", run["id"])]
    assert any("pretrain epoch 2/2: loss" in line for line in words)
    (below,) = serving.below(run["id"])
    assert below["state_type"] == "COMPLETED"
    assert "finetune full, 5 labels a class, 2 seeds" in " ".join(
        t["name"] for t in serving.of("task_runs", below["id"])
    )
    progress = [one for one in serving.of("artifacts", below["id"]) if one["type"] == "progress"]
    assert {"pretraining-on-shapes", "full"} <= {one["key"] for one in progress}
    (further,) = (one for one in progress if one["key"].startswith("select"))
    assert further["key"].startswith("select-further-cells-of-scratch")
    assert further["description"].startswith("select: further cells of scratch")
    assert Counter(one["key"] for one in progress).most_common(1)[0][1] == 1, "each step's own"
    assert {float(one["data"]) for one in progress} == {100.0}
    assert serving.project.run("git", "status", "--porcelain").stdout == before, "the checkout is not touched"
    assert len(serving.project.run("dvc", "exp", "list", "--name-only").stdout.split()) == 1


def test_a_run_in_the_checkout_shows_in_the_same_pages(serving):
    there = {run["id"] for run in serving.runs()}
    serving.project.headstart("run")
    (new,) = [run for run in serving.runs() if run["id"] not in there]
    assert (new["state_type"], new["deployment_id"]) == ("COMPLETED", None)


def test_a_cancelled_run_leaves_nothing_at_work(serving):
    run = serving.start({"settings": {"other": {"strategies.full.steps": 20000}}})
    serving.until(
        lambda: any("finetune full" in t["name"] for b in serving.below(run) for t in serving.of("task_runs", b["id"])),
        120,
    )
    serving.ask("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
    assert serving.ended(run, 180)["state_type"] == "CANCELLED"
    serving.until(lambda: open_runs(serving.project) == [], 30)
    assert [below["state_type"] for below in serving.below(run)] == ["CANCELLED"]
    assert [line for line in processes_of(serving.project) if "flows.cli run" in line] == []
    assert "free" in serving.project.headstart("devices").stdout
    assert list((serving.project.root / ".headstart" / "worktrees").glob("[!.]*")) == []


def test_a_run_whose_process_is_killed_has_crashed_and_is_told_of(serving):
    before = told_of_failures(serving)
    run = serving.start({"settings": {"other": {"strategies.full.steps": 20000}}})
    serving.until(lambda: serving.below(run), 120)
    engines = [each for each in psutil.process_iter(["cmdline"]) if "prefect.engine" in (each.info["cmdline"] or [])]
    (engine,) = (process for process in engines if process.environ().get("PREFECT__FLOW_RUN_ID") == run)
    engine.kill()
    assert serving.ended(run, 120)["state_type"] == "CRASHED"
    serving.until(lambda: told_of_failures(serving) > before, 60)
    serving.until(lambda: not [line for line in processes_of(serving.project) if "flows.cli run" in line], 60)


def test_a_new_version_of_a_dataset_starts_a_run_and_ctrl_c_ends_all_of_it(serving):
    project, there = serving.project, {run["id"] for run in serving.runs()}
    next((project.root / "data" / "sketches" / "bar").glob("*.png")).unlink()
    project.run("dvc", "add", "-q", "data/sketches")
    new = serving.until(lambda: [run for run in serving.runs() if run["id"] not in there], 180)
    assert new[0]["parameters"]["uncommitted"] is True
    # a step is at work: by then what the killed run left open in MLflow is closed
    serving.until(lambda: [t for run in serving.below(new[0]["id"]) for t in serving.of("task_runs", run["id"])], 180)
    below = serving.below(new[0]["id"])[0]["id"]
    assert serving.stop() == 130
    assert serving.log.read_text().splitlines()[-1] == "stopped"
    assert processes_of(project) == []
    assert open_runs(project) == []
    states = states_of(project, new[0]["id"])
    assert states[-1] == "CANCELLED: stopped with `headstart serve`; finished cells and steps are kept"
    assert [state for state in states if state.startswith(("CRASHED", "FAILED"))] == [], "nobody is told"
    assert states_of(project, below)[-1].startswith("CANCELLED")
    assert not (project.root / ".headstart" / "serve.json").exists()
    assert list((project.root / ".headstart" / "worktrees").glob("[!.]*")) == []
