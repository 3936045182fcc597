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
