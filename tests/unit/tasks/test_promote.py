"""Champion and challenger on a real sqlite store of MLflow: who moves, who stays, and the way back."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from headstart.datasets.pack import TEST, read_test_labels
from headstart.errors import UserError
from headstart.evaluation.measures import RATE
from headstart.evaluation.promotion import rows_digest, scored_columns
from headstart.prediction import load
from headstart.storage.publish import write_json
from tasks.promote import ABOUT, ROWS, SCORED, challenge, history, open_models, promote, rollback, succession
from tasks.tracking import open_tracking
from tasks.workspace import Workspace

pytestmark = pytest.mark.usefixtures("own_mlflow")

NAME = "headstart-sketches"


@pytest.fixture(scope="module")
def delivered(publish) -> Path:
    """A strategy's folder as finetune publishes it."""
    folder, _ = publish("full")
    return folder


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory) -> Path:
    state = tmp_path_factory.mktemp("store") / ".headstart"
    open_tracking(state)
    return state / "mlflow.db"


@pytest.fixture
def workspace(domain, tmp_path, empty_store) -> Workspace:
    """A project with the pack of the target, and an empty store."""
    (tmp_path / ".headstart").mkdir()
    shutil.copy(empty_store, tmp_path / ".headstart" / "mlflow.db")
    (tmp_path / "packs").symlink_to(domain.root / "packs")
    YAML().dump({"target": {"data": "sketches"}, "source": {"data": ["shapes"]}}, tmp_path / "params.yaml")
    return Workspace(tmp_path)


@pytest.fixture
def rows(domain) -> pd.DataFrame:
    """The test rows with their truth, 40 times over under other names: a few are too few to settle anything."""
    labels = read_test_labels(domain.places.pack).rename(columns={"label": "truth"})
    more = [labels.assign(id=labels["id"] + f"-{number}", group=labels["id"] + f"-{number}") for number in range(40)]
    return pd.concat(more, ignore_index=True)


@pytest.fixture
def register(workspace, delivered):
    """Registers the folder as a new version whose run scored these rows, right in a share of them."""

    def registering(rows: pd.DataFrame | None, share: float = 1.0) -> str:
        tracking = open_tracking(workspace.state)
        run = tracking.start_pipeline(f"run {np.random.default_rng().random()}")
        number = tracking.models.register(
            run, delivered, name=NAME, pip_requirements=["torch"], input_example=np.zeros((2, 12, 12, 1), np.uint8)
        )
        if rows is not None:
            right = np.random.default_rng(0).permutation(len(rows)) < share * len(rows)
            said = np.where(right, rows["truth"], np.where(rows["truth"] == "bar", "disc", "bar"))
            table = rows.assign(seed=0, prediction=said)[scored_columns(RATE)]
            folder = workspace.root / f"scored-{number}"
            folder.mkdir()
            table.to_parquet(folder / ROWS, index=False)
            write_json(folder / ABOUT, {"rows": rows_digest(table, RATE), "folds": 0, "overlap": 0.0})
            tracking.log_artifacts(run, folder, SCORED)
        return number

    return registering


def challenged(workspace, version):
    models, name = open_models(workspace)
    return challenge(models, workspace, name, version)


def aliases(workspace) -> dict[str, str]:
    models, name = open_models(workspace)
    return models.aliases(name)


def test_the_first_is_champion_a_better_one_follows_and_a_worse_one_does_not(workspace, register, rows):
    first = challenged(workspace, register(rows, 0.8))
    assert first.words == "version 1 now: there was none before"
    assert aliases(workspace) == {"champion": "1", "challenger": "1"}
    second = challenged(workspace, register(rows, 0.95))
    assert second.words.startswith("version 2 now: version 2 is better: +15.0 points (95% CI +")
    assert aliases(workspace) == {"champion": "2", "challenger": "2"}
    third = challenged(workspace, register(rows, 0.8))
    assert third.words.startswith("version 2 stays: version 3 is worse: -15.0 points")
    assert aliases(workspace) == {"champion": "2", "challenger": "3"}
    models, name = open_models(workspace)
    assert models._client.get_model_version(name, "3").tags["headstart.comparison"] == third.why
    assert [(change.version, change.by) for change in history(models, name)] == [("1", "first"), ("2", "comparison")]


def test_one_that_is_no_different_stays_challenger_until_a_person_says_so(workspace, register, rows):
    challenged(workspace, register(rows, 0.8))
    assert "not shown to be better or worse" in challenged(workspace, register(rows, 0.8)).words
    assert promote(workspace).champion == "1"
    approved = promote(workspace, approved=True)
    assert approved.words == "version 2 now: approved by a person"
    assert promote(workspace, "2").words == "version 2 stays: it is the champion already"
    assert promote(workspace, "2", approved=True).moved is False


def test_rollback_goes_back_step_by_step_and_is_remembered(workspace, register, rows):
    for share in (0.7, 0.8, 0.9):
        challenged(workspace, register(rows, share))
    assert aliases(workspace)["champion"] == "3"
    assert rollback(workspace).words == "version 2 now: rolled back from version 3"
    assert rollback(workspace).words == "version 1 now: rolled back from version 2"
    assert aliases(workspace)["champion"] == "1"
    with pytest.raises(UserError, match=r"had no champion before version 1; `headstart promote VERSION --approve`"):
        rollback(workspace)
    assert promote(workspace, "3").moved, "it is better than version 1 still"
    models, name = open_models(workspace)
    assert [change.version for change in history(models, name)] == ["1", "2", "3", "2", "1", "3"]
    assert succession(history(models, name)) == ["1", "3"]


def test_where_rows_differ_the_champion_predicts_the_challengers_and_the_look_is_counted(
    workspace, register, domain, delivered
):
    labels = read_test_labels(domain.places.pack).rename(columns={"label": "truth"})
    challenged(workspace, register(None))
    decision = challenged(workspace, register(labels, 1.0))
    test = domain.pack.rows(TEST)
    predicted = load(delivered).predict(domain.pack.inputs[test])["prediction"]
    truth = labels.set_index("id").loc[domain.pack.ids(test), "truth"]
    difference = 100 * (1 - float(np.mean(predicted.to_numpy() == truth.to_numpy())))
    assert f"{difference:+.1f} points" in decision.words
    assert f"{len(test)} rows that both predicted" in decision.words
    looks = json.loads((workspace.state / "opened.json").read_text())
    assert len(looks["sketches"]) == 1
    promote(workspace)
    assert json.loads((workspace.state / "opened.json").read_text()) == looks, "the same look again is the same look"


def test_rows_that_the_champion_was_trained_on_do_not_count(workspace, register, domain, delivered, tmp_path):
    """The data changed: what was labelled for the champion is among the challenger's test rows now."""
    copy = tmp_path / "copy" / "full"
    shutil.copytree(delivered, copy)
    labels = read_test_labels(domain.places.pack).rename(columns={"label": "truth"})
    seen = list(labels["id"][:5])
    write_json(copy / "labelled.json", [{"label_budget": 4, "seed": 0, "ids": seen}])
    from headstart.storage.publish import write_manifest

    write_manifest(copy)
    tracking = open_tracking(workspace.state)
    number = tracking.models.register(
        tracking.start_pipeline("champion"),
        copy,
        name=NAME,
        pip_requirements=["torch"],
        input_example=np.zeros((2, 12, 12, 1), np.uint8),
    )
    challenged(workspace, number)
    decision = challenged(workspace, register(labels, 1.0))
    assert f"{len(labels) - 5} rows that both predicted" in decision.words


def test_what_cannot_be_compared_leaves_the_champion(workspace, register, rows):
    challenged(workspace, register(None))
    other = challenged(workspace, register(rows, 1.0))
    assert other.words.startswith("version 1 stays: version 2 cannot be compared with it (its test rows are not those")
    without = challenged(workspace, register(None))
    assert "its run kept no predictions" in without.words


def test_who_is_not_there_is_named(workspace, register, rows):
    with pytest.raises(UserError, match="no registered model 'headstart-sketches'"):
        promote(workspace)
    with pytest.raises(UserError, match="no registered model 'headstart-sketches'"):
        rollback(workspace)
    register(rows)
    with pytest.raises(UserError, match="no alias 'challenger'"):
        promote(workspace)
    with pytest.raises(UserError, match="has no version 7; there is: 1"):
        promote(workspace, "7")
    assert promote(workspace, "1").moved


def test_mlflow_loads_the_champion_by_its_alias(workspace, register, rows, delivered, domain, monkeypatch):
    import mlflow

    challenged(workspace, register(rows))
    uri = open_tracking(workspace.state).uri
    monkeypatch.setattr(mlflow.tracking._tracking_service.utils, "_tracking_uri", uri)
    images = domain.pack.inputs[:4]
    found = mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(images.transpose(0, 2, 3, 1))
    pd.testing.assert_frame_equal(found, load(delivered).predict(images))
    assert found.columns[-2:].tolist() == ["distance", "out_of_domain"]
