"""Running cells: a finished one is never run again, a broken one is, a killed one goes on where it stood."""

import json
import shutil
from dataclasses import replace
from functools import partial

import pandas as pd
import pytest

from headstart.cells import tuning
from headstart.cells.cell import Cell
from headstart.cells.run import fit_cell, is_finished, read_summary, run_cell
from headstart.errors import DataError
from headstart.strategies.settings import FullRecipe, TuneRecipe
from headstart.training.accelerator import Accelerator
from headstart.training.checkpoint import Checkpoints
from headstart.training.flops import block_flops

FILES = ("predictions.parquet", "history.csv", "weights.safetensors", "card.json")


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def finished(domain, tmp_path_factory):
    """A finished cell of scratch: its job and summary."""
    job = domain.job("scratch", cells=str(tmp_path_factory.mktemp("cells")))
    return job, run_cell(job, Accelerator())


@pytest.fixture
def copied(finished, tmp_path):
    """The same in a folder of its own."""
    job, _ = finished
    shutil.copytree(job.cells, tmp_path / "cells")
    return replace(job, cells=str(tmp_path / "cells"))


def never(cell):
    raise AssertionError("it was run again")


def bytes_of(job) -> dict[str, bytes]:
    return {name: (job.directory / name).read_bytes() for name in FILES}


def test_a_finished_cell_is_not_run_again(copied, finished, monkeypatch):
    monkeypatch.setattr("headstart.strategies.scratch.fit", never)
    assert is_finished(copied)
    assert run_cell(copied, Accelerator()) == finished[1]


def test_nor_under_another_variant_of_the_same_length(copied, finished, monkeypatch):
    monkeypatch.setattr("headstart.strategies.scratch.fit", never)
    assert run_cell(replace(copied, variant="equal_compute"), Accelerator()) == finished[1]


@pytest.mark.parametrize("name", [*FILES, "cell.json", "manifest.json"])
def test_a_cell_that_is_not_what_was_published_is_not_finished(copied, name):
    path = copied.directory / name
    path.write_bytes(path.read_bytes()[:-3])
    assert not is_finished(copied)


def test_a_broken_cell_is_run_again(copied, finished):
    (copied.directory / "predictions.parquet").unlink()
    run_cell(copied, Accelerator())
    assert is_finished(copied)
    assert bytes_of(copied) == bytes_of(finished[0])


def test_another_recipe_is_another_cell(copied):
    assert not is_finished(replace(copied, recipe=TuneRecipe(steps=13)))


def test_its_summary(finished, domain):
    job, summary = finished
    assert summary == read_summary(job) == json.loads((job.directory / "cell.json").read_text())
    assert set(summary) == {
        "train_score",
        "validation_score",
        "validation_loss",
        "compute",
        "pretraining_compute",
        "learning_rate",
        "held_out",
        "labelled",
        "seconds",
    }
    labels = dict(zip(domain.pack.examples["id"], domain.pack.examples["label"], strict=True))
    assert sorted(labels[row] for row in summary["labelled"]) == ["bar"] * 4 + ["cross"] * 4 + ["disc"] * 4
    assert len(set(summary["labelled"])) == 12
    assert summary["learning_rate"] == 0.01
    # 12 steps of all 9 training rows, forward and twice that backward
    blocks = block_flops("resnet8", channels=1, size=(12, 12), classes=3)
    assert summary["compute"] == 3 * sum(blocks) * 12 * 9
    assert summary["pretraining_compute"] == 0


def test_its_predictions_are_of_the_test_rows_at_each_snapshot(finished, domain):
    job, _ = finished
    table = pd.read_parquet(job.directory / "predictions.parquet")
    test = domain.pack.ids(domain.pack.rows("test"))
    assert table["progress"].unique().tolist() == [0.25, 0.5, 0.75, 1.0]
    for _, part in table.groupby("progress"):
        assert part["id"].tolist() == test
        best = [("bar", "cross", "disc")[row.argmax()] for row in part["probabilities"]]
        assert part["prediction"].tolist() == best


def test_its_history_is_of_each_snapshot(finished):
    job, summary = finished
    history = pd.read_csv(job.directory / "history.csv")
    assert history["step"].tolist() == [3, 3, 6, 6, 9, 9, 12, 12]
    assert history[["split", "metric"]].drop_duplicates().to_numpy().tolist() == [
        ["train", "loss"],
        ["validation", "accuracy"],
    ]
    assert history["value"].iloc[-1] == summary["validation_score"]


def test_without_snapshots_there_is_the_end_alone_and_the_same_weights(finished, domain, tmp_path):
    """Looking on the way does not change the training."""
    job = domain.job("scratch", cells=str(tmp_path), snapshots=False)
    run_cell(job, Accelerator())
    table = pd.read_parquet(job.directory / "predictions.parquet")
    assert table["progress"].unique().tolist() == [1.0]
    assert bytes_of(job)["weights.safetensors"] == bytes_of(finished[0])["weights.safetensors"]


@pytest.mark.parametrize("call", [1, 8])
def test_a_killed_cell_goes_on_to_the_same_bytes(finished, domain, tmp_path, monkeypatch, call):
    """Killed at its first look and at its last; a checkpoint is written after every step before that."""
    job = domain.job("scratch", cells=str(tmp_path))
    calls = []
    predict = tuning.predict

    def die(*arguments, **options):
        calls.append(1)
        if len(calls) == call:
            raise Killed
        return predict(*arguments, **options)

    monkeypatch.setattr(tuning, "predict", die)
    monkeypatch.setattr(tuning, "Checkpoints", partial(Checkpoints, every=0))
    with pytest.raises(Killed):
        run_cell(job, Accelerator())
    assert not is_finished(job)
    left = tmp_path / f"{job.key}.rate-0.01"
    mark = 3 * ((call + 1) // 2)
    assert max(path.name for path in left.iterdir()) == f"step-{mark - 1:08d}"
    monkeypatch.setattr(tuning, "predict", predict)
    run_cell(job, Accelerator())
    assert bytes_of(job) == bytes_of(finished[0])
    assert [path.name for path in tmp_path.iterdir()] == [job.key]  # the checkpoints went


def test_the_rate_that_validates_best_is_kept(domain, tmp_path):
    for tried, best in {(1e-6, 0.01): 0.01, (0.01, 1e-6): 0.01}.items():
        recipe = FullRecipe(steps=8, learning_rates=tried)
        job = domain.job("scratch", cells=str(tmp_path), recipe=recipe, label_budget=8, validation_fraction=0.45)
        summary = run_cell(job, Accelerator())
        assert summary["learning_rate"] == best
    assert not list(tmp_path.glob("*.rate-*"))


def test_each_rate_starts_from_the_same_weights(domain, tmp_path, monkeypatch):
    """Or more trials would be more draws, not more rates."""
    starts = []
    train = tuning.train

    def spy(network, *arguments, **options):
        starts.append(network.head.weight.detach().clone())
        return train(network, *arguments, **options)

    monkeypatch.setattr(tuning, "train", spy)
    recipe = TuneRecipe(steps=4, learning_rates=(0.01, 0.02))
    run_cell(domain.job("scratch", cells=str(tmp_path), recipe=recipe), Accelerator())
    assert len(starts) == 2
    assert starts[0].equal(starts[1])


def test_a_budget_that_a_class_cannot_give_is_refused(domain, tmp_path):
    with pytest.raises(DataError, match=r"a label budget of 15 a class needs 15 labelled rows, but class 'bar' has 14"):
        run_cell(domain.job("scratch", cells=str(tmp_path), label_budget=15), Accelerator())


def test_a_cells_rows_are_apart(domain):
    cell = Cell(domain.job("full"), Accelerator())
    train, validation, test = (set(rows) for rows in (cell.train_rows, cell.validation_rows, cell.test_rows))
    assert (len(train), len(validation), len(test)) == (9, 3, 30)
    assert not train & validation
    assert not (train | validation) & test
    assert cell.labelled_ids == cell.pack.ids([*cell.train_rows, *cell.validation_rows])


def test_a_network_from_the_source_has_its_blocks_and_its_heads_matching_rows(domains):
    matching, renamed = (Cell(domains[name].job("full"), Accelerator()) for name in ("sketches", "symbols"))
    for cell in (matching, renamed):
        ours = cell.network_from_source().blocks.state_dict()
        theirs = cell.source_network.blocks.state_dict()
        assert all(ours[name].equal(theirs[name]) for name in theirs)
    assert matching.network_from_source().head.weight.equal(matching.source_network.head.weight)
    assert renamed.network_from_source().head.weight.abs().max() == 0


def test_a_cell_draws_its_labels_by_its_seed_and_the_runs(domain):
    rows = {
        change: tuple(Cell(domain.job("full", **dict([change])), Accelerator()).train_rows)
        for change in (("seed", 0), ("seed", 1), ("run_seed", 1))
    }
    assert len(set(rows.values())) == 3


class Second(Accelerator):
    """It has the whole batch, and is not the first of the processes."""

    leads = False


def test_of_several_processes_the_first_one_publishes(domain, tmp_path):
    job = domain.job("full", cells=str(tmp_path))
    fit_cell(job, Second())
    assert list(tmp_path.iterdir()) == []


def test_pieces_are_a_row_of_the_history(domain, tmp_path):
    job = domain.job("full", cells=str(tmp_path))
    run_cell(job, Accelerator(pieces=2))
    history = pd.read_csv(job.directory / "history.csv")
    assert history.to_numpy().tolist()[-1] == [8, "train", "pieces", 2.0]
    run_cell(replace(job, seed=1), Accelerator())
    assert "pieces" not in set(pd.read_csv(replace(job, seed=1).directory / "history.csv")["metric"])
