"""What the grid's steps publish is what evaluate and report read."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from headstart.cells.grid import budget_jobs, headline_jobs
from headstart.cells.outputs import best_cell, delivered_job, publish_selection, publish_strategy
from headstart.cells.results import read_cells, read_labelled, read_predictions, read_selection, read_speed
from headstart.cells.run import run_cell
from headstart.errors import IntegrityError
from headstart.storage.publish import verify
from headstart.training.accelerator import Accelerator
from headstart.training.weights import read_weights


@pytest.fixture(scope="module")
def run(domain, tmp_path_factory):
    """The control's jobs at the headline budget, half steps included, and their summaries."""
    jobs = headline_jobs(domain.settings, "scratch", domain.places, {"test": "outputs"})
    cells = str(tmp_path_factory.mktemp("cells"))
    jobs = [replace(job, cells=cells) for job in jobs]
    return jobs, [run_cell(job, Accelerator()) for job in jobs]


def publish(folder, jobs, summaries, *, keep="chosen"):
    """What a strategy's folder comes to; returns the delivered job."""
    delivered = delivered_job(jobs, summaries)
    publish_strategy(folder, jobs, summaries, delivered=delivered, speed={"rows_per_second": 640.0}, keep=keep)
    return delivered


@pytest.fixture
def published(run, tmp_path):
    return tmp_path / "scratch", publish(tmp_path / "scratch", *run)


def test_the_files_of_a_strategy(published):
    folder, _ = published
    assert set(verify(folder)) == {
        "weights.safetensors",
        "card.json",
        "predictions.parquet",
        "history.csv",
        "cells.csv",
        "labelled.json",
        "speed.json",
    }


def test_delivered_are_the_weights_that_validate_best(run, published):
    jobs, summaries = run
    folder, delivered = published
    scores = [(-s["validation_score"], s["validation_loss"], j.seed) for j, s in zip(jobs[:2], summaries, strict=False)]
    assert delivered == jobs[scores.index(min(scores))]
    assert (folder / "weights.safetensors").read_bytes() == (delivered.directory / "weights.safetensors").read_bytes()
    card, _ = read_weights(folder)
    assert (card.strategy, card.seed, card.label_budget) == ("scratch", delivered.seed, 4)


def test_a_speed_comes_back_with_whose_it_is_and_what_its_training_took(run, published):
    folder, delivered = published
    assert read_speed(folder) == {
        "strategy": "scratch",
        "label_budget": 4,
        "seed": delivered.seed,
        "seconds": run[1][run[0].index(delivered)]["seconds"],
        "rows_per_second": 640.0,
    }


def test_cells_come_back_as_they_were(run, published):
    jobs, summaries = run
    cells = read_cells(published[0])
    assert cells["variant"].tolist() == ["", "", "half_steps", "half_steps"]
    assert cells["seed"].tolist() == [0, 1, 0, 1]
    assert cells["labels"].tolist() == [12] * 4
    for name in ("train_score", "validation_score", "validation_loss", "compute", "seconds", "learning_rate"):
        assert cells[name].tolist() == [summary[name] for summary in summaries]
    assert len(jobs) == 4


def test_predictions_and_history_come_back_with_their_cell(run, published):
    jobs, _ = run
    table = read_predictions(published[0])
    assert table.columns.tolist() == [
        *("strategy", "variant", "label_budget", "seed"),
        *("progress", "id", "prediction", "probabilities", "low", "high", "temperature"),
    ]
    for job in jobs:
        own = table[(table["variant"] == job.variant) & (table["seed"] == job.seed)]
        cell = pd.read_parquet(job.directory / "predictions.parquet")
        for name in ("progress", "id", "prediction"):
            assert own[name].tolist() == cell[name].tolist()
        assert [row.tolist() for row in own["probabilities"]] == [row.tolist() for row in cell["probabilities"]]
    assert len(table) == (4 + 4 + 1 + 1) * 30  # four looks of the headline cells, one of the others
    history = pd.read_csv(published[0] / "history.csv", keep_default_na=False)
    assert history["variant"].value_counts().to_dict() == {"": 16, "half_steps": 4}


def test_labelled_ids_come_back_by_budget_and_seed(run, published):
    _, summaries = run
    assert read_labelled(published[0]) == {(4, 0): [summaries[0]["labelled"]], (4, 1): [summaries[1]["labelled"]]}


def test_a_cell_without_a_rate_comes_back_without_one(domain, tmp_path):
    jobs = budget_jobs(domain.settings, "linear_probe", 4, domain.places, {})
    jobs = [replace(job, cells=str(tmp_path / "cells")) for job in jobs]
    publish(tmp_path / "probe", jobs, [run_cell(job, Accelerator()) for job in jobs])
    cells = read_cells(tmp_path / "probe")
    assert cells["learning_rate"].isna().all()
    assert cells["variant"].tolist() == ["", ""]


def test_all_weights_are_kept_on_demand(run, tmp_path):
    jobs, summaries = run
    publish(tmp_path / "scratch", jobs, summaries, keep="all")
    kept = sorted(path.name for path in (tmp_path / "scratch" / "cells").iterdir())
    assert kept == ["4-0", "4-0-half_steps", "4-1", "4-1-half_steps"]
    for job, name in zip(jobs, ("4-0", "4-1", "4-0-half_steps", "4-1-half_steps"), strict=True):
        assert (tmp_path / "scratch" / "cells" / name / "weights.safetensors").read_bytes() == (
            job.directory / "weights.safetensors"
        ).read_bytes()


def test_of_several_sources_the_best_on_average_is_delivered(run, tmp_path):
    """The best single seed is another source's; select goes by means, and so does what is delivered."""
    (first, second), cells = run[0][:2], run[1][:2]
    jobs = [replace(job, source=source) for source in ("photos", "drawings") for job in (first, second)]
    scores = (0.9, 0.5, 0.8, 0.8)
    summaries = [own | {"validation_score": score} for own, score in zip([*cells, *cells], scores, strict=True)]
    delivered = publish(tmp_path / "scratch", jobs, summaries, keep="all")
    assert (delivered.source, delivered.entrant) == ("drawings", "scratch@drawings")
    assert read_speed(tmp_path / "scratch")["strategy"] == "scratch@drawings"
    assert read_cells(tmp_path / "scratch")["strategy"].tolist() == ["scratch@photos"] * 2 + ["scratch@drawings"] * 2
    kept = {path.name for path in (tmp_path / "scratch" / "cells").iterdir()}
    assert kept == {f"4-{seed}-from-{source}" for seed in (0, 1) for source in ("photos", "drawings")}


def test_publishing_again_gives_the_same_bytes(run, published, tmp_path):
    publish(tmp_path / "again", *run)
    assert verify(tmp_path / "again") == verify(published[0])


def test_a_selection_comes_back(run, tmp_path):
    jobs, summaries = run
    choice = {
        "strategy": "full",
        "against": "scratch",
        "validation_accuracy": {"full": 0.5},
        "validation_loss": {"full": 1.0},
    }
    publish_selection(tmp_path / "selection", choice, jobs, summaries)
    assert read_selection(tmp_path / "selection") == choice
    assert len(read_cells(tmp_path / "selection")) == 4
    assert "weights.safetensors" not in verify(tmp_path / "selection")
    assert json.loads((tmp_path / "selection" / "labelled.json").read_text())[0]["label_budget"] == 4


def test_predictions_that_were_changed_are_refused(published):
    path = published[0] / "predictions.parquet"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(IntegrityError, match=r"scratch/predictions\.parquet is not the file that was published"):
        read_predictions(published[0])


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([(0.8, 0.5, 0), (0.9, 0.9, 1)], 1),
        ([(0.9, 0.5, 0), (0.9, 0.4, 1)], 1),
        ([(0.9, 0.5, 1), (0.9, 0.5, 0)], 1),
    ],
)
def test_best_is_by_accuracy_then_loss_then_seed(rows, best):
    assert best_cell(pd.DataFrame(rows, columns=["validation_score", "validation_loss", "seed"])) == best


def test_cells_read_back_with_their_variants_and_with_what_is_not_known(tmp_path):
    rows = {
        "strategy": ["full"],
        "variant": [""],
        "pretraining_compute": [None],
        "learning_rate": [None],
        "seconds": [1.5],
    }
    pd.DataFrame(rows).to_csv(tmp_path / "cells.csv", index=False)
    found = read_cells(tmp_path).iloc[0]
    assert (found["variant"], found["seconds"]) == ("", 1.5)
    assert pd.isna(found["pretraining_compute"])
    assert pd.isna(found["learning_rate"])
