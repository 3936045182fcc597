"""`headstart predict` in a project that has run: by names of MLflow, in worker processes, as the run predicted."""

import json
from unittest.mock import patch

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def project(warm, tmp_path_factory):
    return warm.copy(tmp_path_factory.mktemp("predict") / "project")


@pytest.fixture
def predict(project, capsys, monkeypatch):
    """Runs the command in this process, in the project; returns its exit code, output and errors."""
    from flows.cli import run_command

    monkeypatch.chdir(project.root)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = run_command(["predict", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    with patch("signal.signal"):  # the command sets SIGTERM's; this process keeps its own
        yield run


@pytest.fixture(scope="module")
def chosen(project) -> str:
    return json.loads((project.root / "models" / "selection" / "selection.json").read_text())["strategy"]


def test_the_command_predicts_alone_and_without_noise(project, chosen):
    done = project.headstart("predict", f"models/target/{chosen}", "data/sketches", "--out", "alone.csv")
    assert (done.stdout, done.stderr) == ("72 predictions: alone.csv\n", "")


def test_every_name_of_the_delivered_model_gives_the_same(project, chosen, predict):
    names = [f"models/target/{chosen}", "headstart-sketches", "models:/headstart-sketches/1"]
    tables = []
    for number, name in enumerate(names):
        out = f"out/{number}.parquet"
        # more than one chunk: worker processes decode them
        assert predict(name, "data/sketches", "--out", out) == (0, f"72 predictions: {out}\n", "")
        tables.append(pd.read_parquet(project.root / out))
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])


def test_it_predicts_the_test_rows_as_the_run_did(project, chosen, predict):
    assert predict(f"models/target/{chosen}", "data/sketches", "--out", "again.parquet")[0] == 0
    again = pd.read_parquet(project.root / "again.parquet").set_index("path")["prediction"]
    card = json.loads((project.root / "models" / "target" / chosen / "card.json").read_text())
    own = pd.read_parquet(project.root / "models" / "target" / chosen / "predictions.parquet")
    own = own[(own["variant"] == "") & (own["seed"] == card["seed"]) & (own["progress"] == 1)]
    labels = pd.read_parquet(project.root / "packs" / "sketches.test" / "labels.parquet").set_index("id")["path"]
    assert len(own) > 20
    assert again.loc[labels.loc[own["id"]]].tolist() == own["prediction"].tolist()


def test_the_champion_is_the_projects_own_by_a_flag_too(project, chosen, predict):
    assert predict("--model", "champion", "data/sketches/bar", "--out", "flag.csv")[0] == 0
    assert predict("challenger", "--out", "place.csv", "data/sketches/bar")[0] == 0
    own = (project.root / "flag.csv").read_text()
    assert own == (project.root / "place.csv").read_text()
    assert own.splitlines()[0].endswith(",distance,out_of_domain")


def test_only_what_is_new_is_added(project, predict):
    code, out, err = predict("--model", "champion", "data/sketches", "--new-only", "--out", "grown")
    assert (code, out, err) == (0, "72 new predictions: grown (0 inputs were known already)\n", "")
    assert predict("--model", "champion", "data/sketches", "--new-only", "--out", "grown") == (
        0,
        "0 new predictions: grown (72 inputs were known already)\n",
        "",
    )
    table = pd.read_parquet(project.root / "grown")
    assert len(table) == 72
    assert set(table["model"]) == {"headstart-sketches/1"}


def test_the_flow_adds_what_is_new_and_leaves_an_artifact(project, monkeypatch):
    """As the deployment calls it: names relative to the project, a run of the flow on a server."""
    code = (
        "from pathlib import Path\n"
        "from flows.server import start_prefect\n"
        "from tasks.workspace import here\n"
        "with start_prefect(here().state) as server:\n"
        "    from flows.predict import predict\n"
        "    server.wait()\n"
        "    predict(input='data/sketches/bar', out='flowed')\n"
        "    from prefect.client.orchestration import get_client\n"
        "    with get_client(sync_client=True) as client:\n"
        "        (run,) = [run for run in client.read_flow_runs() if run.name.startswith('champion')]\n"
        "        (artifact,) = client.read_artifacts()\n"
        "print(run.name, run.state.type.value, artifact.key, artifact.data.split(':')[0], sep='|')\n"
    )
    import sys

    done = project.run(sys.executable, "-c", code)
    assert done.stdout.splitlines()[-1] == (
        "champion on bar|COMPLETED|predictions|24 new predictions, 0 rejected, 0 known already"
    )
    assert len(pd.read_parquet(project.root / "flowed")) == 24


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data/sketches"], "predict takes one INPUT beside --model, or MODEL INPUT; 1 names are given"),
        (["--model", "champion", "a", "b"], "2 names are given: a b"),
        (["champion", "a", "--modle", "x"], "unknown arguments: --modle"),
        (["champion", "a", "--new-only"], "--new-only needs --out FOLDER"),
    ],
)
def test_too_few_and_too_many_names_are_refused(predict, capsys, arguments, words):
    with pytest.raises(SystemExit) as caught:
        predict(*arguments)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


def test_promote_and_rollback_say_who_is_champion(project):
    said = project.headstart("promote").stdout.splitlines()
    assert said[0] == "champion: version 1 stays: it is the champion already"
    back = project.headstart("rollback", check=False)
    assert back.returncode == 2
    assert back.stderr.startswith("error: headstart-sketches had no champion before version 1")


def test_an_alias_is_followed(project, predict):
    from tasks.tracking import open_tracking

    open_tracking(project.root / ".headstart")._client.set_registered_model_alias("headstart-sketches", "good", "1")
    code, out, _ = predict("models:/headstart-sketches@good", "data/sketches/bar/000.png")
    assert code == 0
    assert out.startswith("path,prediction,probability.bar")
    assert out.splitlines()[1].startswith("data/sketches/bar/000.png,")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("models:/headstart-sketches/7", "headstart-sketches has no version 7; there is: 1, latest"),
        ("models:/headstart-sketches@bad", "headstart-sketches has no alias 'bad'"),
        ("headstart-skatches", "no registered model 'headstart-skatches'"),
    ],
)
def test_a_name_that_mlflow_does_not_know_exits_with_2_and_says_what_there_is(predict, name, words):
    code, _, err = predict(name, "data/sketches")
    assert code == 2
    assert words in err
    assert "headstart-sketches" in err
    assert "Traceback" not in err


def test_what_the_flow_cannot_read_is_one_line_and_no_stack(project):
    code = (
        "from flows.server import start_prefect\n"
        "from tasks.workspace import here\n"
        "with start_prefect(here().state) as server:\n"
        "    from flows.predict import predict\n"
        "    server.wait()\n"
        "    state = predict(input='nowhere', out='flowed', return_state=True)\n"
        "print(state.type.value, state.message)\n"
    )
    import sys

    done = project.run(sys.executable, "-c", code)
    last = done.stdout.splitlines()[-1]
    assert last.startswith("FAILED ")
    assert "nowhere is not there; give an image" in last
    assert "Traceback" not in done.stdout + done.stderr
