"""Checkpoints: what is broken is passed over, the newest two are kept, moments come back in their layout."""

import shutil
from pathlib import Path

import pytest
import torch
from torch import optim
from training_toy import fit, network, same_bytes

from headstart.training.checkpoint import Checkpoints, State


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """The folder of a training of 6 steps that saved after each of the first 5."""
    folder = tmp_path_factory.mktemp("checkpoints")
    fit(network(), checkpoints=Checkpoints(folder, every=0))
    return folder


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    return shutil.copytree(saved, tmp_path / "copy")


def flip_a_byte(newest: Path) -> None:
    path = newest / "state.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def cut_short(newest: Path) -> None:
    path = newest / "state.safetensors"
    path.write_bytes(path.read_bytes()[:-9])


def lose_the_manifest(newest: Path) -> None:
    (newest / "manifest.json").unlink()


def lose_the_tensors(newest: Path) -> None:
    (newest / "state.safetensors").unlink()


def garble_the_meta(newest: Path) -> None:
    (newest / "meta.json").write_text("{")


BREAK = [flip_a_byte, cut_short, lose_the_manifest, lose_the_tensors, garble_the_meta]


def restored(folder: Path) -> State:
    net = network()
    return Checkpoints(folder).restore(net, optim.AdamW(net.parameters()))


def test_the_newest_two_are_kept(saved):
    assert sorted(path.name for path in saved.iterdir()) == ["step-00000004", "step-00000005"]
    assert restored(saved).step == 5


@pytest.mark.parametrize("damage", BREAK)
def test_of_a_broken_newest_the_one_before_is_taken(folder, damage):
    damage(folder / "step-00000005")
    state = restored(folder)
    assert state.step == len(state.losses) == 4
    assert list(state.records) == ["2", "4"]


@pytest.mark.parametrize("damage", BREAK)
def test_and_the_training_ends_in_the_same_bytes(folder, damage):
    whole = network()
    expected = fit(whole)
    damage(folder / "step-00000005")
    net = network(seed=99)
    assert fit(net, checkpoints=Checkpoints(folder)).losses == expected.losses
    assert same_bytes(net.state_dict(), whole.state_dict())


def test_with_all_of_them_broken_it_starts_anew(folder):
    for path in folder.iterdir():
        flip_a_byte(path)
    assert restored(folder) == State()


def test_where_there_is_none_it_starts_anew(tmp_path):
    assert restored(tmp_path / "nowhere") == State(step=0, losses=[], records={})


def test_a_half_written_one_is_not_seen(folder):
    (folder / ".step-00000006.tmp-1-abc").mkdir()
    assert restored(folder).step == 5


def test_clearing_removes_them(folder):
    Checkpoints(folder).clear()
    assert not folder.exists()
    Checkpoints(folder).clear()  # and is no error where there is nothing


def test_they_are_due_by_time_alone(monkeypatch, tmp_path):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    checkpoints = Checkpoints(tmp_path, every=20.0)
    now[0] = 119.9
    assert not checkpoints.due()
    now[0] = 120.0
    assert checkpoints.due()
    net = network()
    checkpoints.save(State(), net, optim.AdamW(net.parameters()))
    assert not checkpoints.due()


def test_moments_come_back_in_the_layout_of_their_parameters(saved):
    """On the file they are contiguous; a training in channels_last must go on in channels_last, to the bit."""
    looked = []

    class Look(Checkpoints):
        def restore(self, network, optimizer, beside=None):
            state = super().restore(network, optimizer, beside)
            weight = network.blocks[1][0].weight  # (6, 4, 3, 3)
            looked.append((weight.stride(), optimizer.state[weight]))
            return state

    fit(network(), checkpoints=Look(saved))
    [(stride, moments)] = looked
    assert stride == (36, 1, 12, 4)
    assert moments["exp_avg"].stride() == moments["exp_avg_sq"].stride() == stride
    assert moments["step"].item() == 6  # 5 restored, and the last


def test_a_checkpoint_holds_no_pickle(saved):
    names = {path.name for path in (saved / "step-00000005").iterdir()}
    assert names == {"manifest.json", "meta.json", "state.safetensors"}
    assert torch.is_tensor(restored(saved).records["2"])
