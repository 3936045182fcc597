"""Pretraining publishes W: its card, its history, and the same bytes after an interruption."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from headstart.backbones.network import build
from headstart.datasets.pack import Pack, write_pack
from headstart.training import pretrain as module
from headstart.training.accelerator import Accelerator
from headstart.training.chance import read_warning
from headstart.training.checkpoint import Checkpoints
from headstart.training.flops import block_flops
from headstart.training.pretrain import pretrain
from headstart.training.rows import InputRows
from headstart.training.settings import PretrainSettings
from headstart.training.weights import read_weights

SETTINGS = PretrainSettings(epochs=2, batch_size=16, validation_fraction=0.1)


class Killed(Exception):
    pass


def run(source: Pack, directory, *, checkpoints=None, log=None, seed=0, accelerator=None, **changes):
    return pretrain(
        source,
        directory,
        backbone="resnet8",
        settings=SETTINGS.model_copy(update=changes),
        seed=seed,
        accelerator=accelerator or Accelerator(),
        checkpoints=checkpoints or Checkpoints(directory.with_name("checkpoints")),
        log=log or (lambda *_: None),
    )


@pytest.fixture(scope="module")
def source(domain) -> Pack:
    return Pack(domain.root / "packs" / "shapes")


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrain") / "weights"
    said = []
    card = run(source, folder, log=lambda *values: said.append(values))
    return folder, card, said


def test_its_card_says_what_w_is(whole, source):
    folder, card, _ = whole
    assert read_weights(folder)[0] == card
    assert (card.kind, card.strategy, card.dataset, card.backbone) == ("network", "pretrain", "shapes", "resnet8")
    assert card.classes == ("bar", "cross", "disc")
    assert (card.normalisation.mean, card.normalisation.std) == (source.card.mean, source.card.std)
    # 120 rows, 4 of each class held out: 108 make 6 batches of 16 an epoch
    blocks = block_flops("resnet8", channels=1, size=(12, 12), classes=3)
    assert card.flops == 3 * sum(blocks) * 16 * 6 * 2


def test_it_says_how_each_epoch_went(whole):
    folder, _, said = whole
    assert [(epoch, epochs) for epoch, epochs, _, _ in said] == [(1, 2), (2, 2)]
    assert said[1][2] < said[0][2]  # the loss falls
    history = pd.read_csv(folder / "history.csv")
    assert history.columns.tolist() == ["epoch", "split", "metric", "value"]
    assert history[["epoch", "split", "metric"]].to_numpy().tolist() == [
        [1, "train", "loss"],
        [1, "validation", "accuracy"],
        [2, "train", "loss"],
        [2, "validation", "accuracy"],
    ]
    assert history["value"].tolist() == pytest.approx([said[0][2], said[0][3], said[1][2], said[1][3]])


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(whole, source, tmp_path):
    folder, _, _ = whole
    run(source, tmp_path / "same")
    run(source, tmp_path / "other", seed=1)
    bytes_of = [
        (place / "weights.safetensors").read_bytes() for place in (folder, tmp_path / "same", tmp_path / "other")
    ]
    assert bytes_of[0] == bytes_of[1] != bytes_of[2]


def test_killed_between_the_epochs_it_ends_in_the_same_bytes(whole, source, tmp_path):
    folder, _, said = whole
    checkpoints = tmp_path / "checkpoints"
    heard = []

    def die(epoch, *values):
        heard.append((epoch, *values))
        if epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        run(source, tmp_path / "weights", checkpoints=Checkpoints(checkpoints, every=0), log=die)
    assert not (tmp_path / "weights").exists()
    run(source, tmp_path / "weights", checkpoints=Checkpoints(checkpoints), log=lambda *values: heard.append(values))
    for name in ("weights.safetensors", "history.csv", "card.json"):
        assert (tmp_path / "weights" / name).read_bytes() == (folder / name).read_bytes()
    assert heard == [*said, said[1]]  # the first epoch is not told twice
    assert checkpoints.exists(), "they go when the step's result is recorded (tasks/warm.py)"


def test_the_rows_held_out_are_not_trained_on(source, monkeypatch, tmp_path):
    """Duplicates stay on one side, for they are one group."""
    made = []

    def spy(*args, **kwargs):
        rows = InputRows(*args, **kwargs)
        made.append({image.numpy().tobytes() for image in rows.plain(torch.arange(len(rows)))})
        return rows

    monkeypatch.setattr(module, "InputRows", spy)
    run(source, tmp_path / "weights", epochs=1)
    held, trained = made
    assert (len(held), len(trained)) == (12, 108)
    assert not held & trained


def test_a_source_of_one_group_has_a_score_all_the_same(source, tmp_path):
    """All clips by one voice: none of it can be held out whole, and W's own score is all that hangs on it."""
    examples = source.examples.assign(group="one voice")
    rejected = pd.DataFrame(columns=["path", "reason"])
    write_pack(tmp_path / "alone", card=source.card, examples=examples, inputs=source.inputs, rejected=rejected)
    said = []
    run(Pack(tmp_path / "alone"), tmp_path / "weights", log=lambda *values: said.append(values))
    assert all(0 <= score <= 1 for *_, score in said)


def test_a_source_too_small_to_hold_any_row_out_holds_out_one_a_class(source, tmp_path):
    """5% of 8 rows is less than half a row; an accuracy over no rows at all would be no number."""
    chosen = np.concatenate([np.flatnonzero(source.examples["label"] == name)[:8] for name in source.card.classes])
    examples = source.examples.iloc[chosen].reset_index(drop=True)
    images = np.asarray(source.inputs)[chosen]
    rejected = pd.DataFrame(columns=["path", "reason"])
    write_pack(tmp_path / "small", card=source.card, examples=examples, inputs=images, rejected=rejected)
    said = []
    run(
        Pack(tmp_path / "small"),
        tmp_path / "weights",
        validation_fraction=0.05,
        log=lambda *values: said.append(values),
    )
    assert [0 <= values[3] <= 1 for values in said] == [True, True]


def test_w_starts_from_the_seed_alone(source, tmp_path):
    """Whatever has drawn from the global generator before."""
    digests = []
    for noise in (0, 5):
        torch.rand(noise)
        build("resnet8", channels=1, classes=2)
        run(source, tmp_path / "weights", epochs=1)
        digests.append((tmp_path / "weights" / "weights.safetensors").read_bytes())
        shutil.rmtree(tmp_path / "weights")
    assert digests[0] == digests[1]


class Second(Accelerator):
    """It has the whole batch, and is not the first of the processes."""

    leads = False


def test_of_several_processes_the_first_one_publishes_and_logs(source, whole, tmp_path):
    """The others only come to the same."""
    card = run(
        source,
        tmp_path / "weights",
        accelerator=Second(),
        checkpoints=Checkpoints(tmp_path / "checkpoints", every=0.0),
        log=lambda *said: pytest.fail("it logged"),
    )
    assert card == whole[1]
    assert list(tmp_path.iterdir()) == []


def test_pieces_are_a_row_of_the_history(source, whole, tmp_path):
    run(source, tmp_path / "weights", accelerator=Accelerator(pieces=2))
    plain, history = (pd.read_csv(folder / "history.csv") for folder in (whole[0], tmp_path / "weights"))
    assert "pieces" not in set(plain["metric"])
    assert history.to_numpy().tolist()[-1] == [2, "train", "pieces", 2.0]
    assert len(history) == len(plain) + 1


def test_a_w_that_learned_nothing_is_warned_of_with_what_to_do(source, tmp_path):
    """Labels dealt out anew have nothing to do with the images."""
    examples = source.examples.copy()
    examples["label"] = examples["label"].sample(frac=1, random_state=0).to_numpy()
    rejected = pd.DataFrame(columns=["path", "reason"])
    images = np.asarray(source.inputs)
    write_pack(tmp_path / "dealt", card=source.card, examples=examples, inputs=images, rejected=rejected)
    run(Pack(tmp_path / "dealt"), tmp_path / "blind", validation_fraction=0.4)
    said = read_warning(tmp_path / "blind")
    assert said.startswith("W tells the source's classes no better than chance (shapes: validation accuracy 0.")
    assert "on 48 rows held out; always the commonest of 3 classes: 0." in said
    assert "more epochs (pretrain.epochs is 2), give the source more rows" in said
    assert "headstart check shapes --as source" in said
    assert len(said.splitlines()) == 1


def test_a_w_that_learned_is_not(source, tmp_path):
    run(source, tmp_path / "seeing", validation_fraction=0.4, epochs=8)
    assert pd.read_csv(tmp_path / "seeing" / "history.csv")["value"].iloc[-1] > 0.6
    assert read_warning(tmp_path / "seeing") == ""
    assert sorted(path.name for path in (tmp_path / "seeing").glob("*.txt")) == []
