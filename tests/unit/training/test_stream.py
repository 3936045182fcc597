"""A stream gives the images of its rows, two windows in memory at most, and trains to the same bytes after a kill."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.datasets.pack import Pack, write_pack
from headstart.datasets.stored import Stored, write_shards
from headstart.errors import IntegrityError
from headstart.training import stream as module
from headstart.training.accelerator import Accelerator
from headstart.training.checkpoint import Checkpoints
from headstart.training.order import Windows, make_windows
from headstart.training.placed import placed
from headstart.training.policy import Properties, policy_of
from headstart.training.pretrain import pretrain
from headstart.training.rows import InputRows, Normalisation
from headstart.training.settings import PretrainSettings
from headstart.training.stream import streaming

PIXELS = np.random.default_rng(0).integers(0, 256, (150, 1, 3, 3), dtype=np.uint8)


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Stored:
    folder = tmp_path_factory.mktemp("images")
    return Stored(
        [
            folder / name
            for name, _ in write_shards(folder, "images", [PIXELS], shape=PIXELS.shape, dtype="uint8", most=400)
        ]
    )


@settings(deadline=None, max_examples=60)
@given(
    count=st.integers(1, 100),
    sparse=st.integers(1, 150),
    batch=st.integers(1, 20),
    block=st.integers(1, 20),
    more=st.integers(0, 4),
    start=st.integers(0, 30),
)
def test_each_step_has_the_images_of_its_rows(images, count, sparse, batch, block, more, start):
    """Of rows that lie close together or far apart, from any step on, through several epochs."""
    chosen = np.random.default_rng(count).permutation(max(count, sparse))[:count]
    places = np.sort(chosen)
    order = Windows(count, batch, block, -(-batch // block) + 1 + more, 0)
    with streaming(images, places, order) as stream:
        assert len(stream) == count
        for step in range(start, start + 25):
            rows = stream.at(step)
            assert torch.equal(rows, order.rows(step))
            assert np.array_equal(stream[rows.numpy()], PIXELS[places[rows.numpy()]])
            assert len(stream._windows) <= 2


def test_rows_that_are_in_no_window_are_read_from_the_disk(images):
    with streaming(images, np.arange(150), Windows(150, 10, 5, 3, 0)) as stream:
        stream.at(0)
        assert np.array_equal(stream[np.arange(150)[::-1]], PIXELS[::-1])


def test_the_next_window_is_read_before_it_is_needed(images, monkeypatch):
    read = []
    whole = module.Stream._read
    monkeypatch.setattr(module.Stream, "_read", lambda self, key: (read.append(key), whole(self, key))[1])
    order = Windows(150, 10, 10, 2, 0)
    with streaming(images, np.arange(150), order) as stream:
        for step, expected in ((0, 2), (1, 2), (2, 3), (3, 3), (4, 4)):
            stream[stream.at(step).numpy()]
            for window in list(stream._windows.values()):
                window.result()
            assert len(read) == expected
    assert read == [(0, 0), (0, 1), (0, 2), (0, 3)]


def test_a_window_is_read_once_in_the_order_of_the_disk(images, monkeypatch):
    """Rows that are held out lie between those that are trained on."""
    asked = []
    whole = Stored.read_into
    monkeypatch.setattr(Stored, "read_into", lambda self, found, rows: (asked.append(rows), whole(self, found, rows)))
    monkeypatch.setattr(Stored, "__getitem__", lambda self, part: pytest.fail("rows are read one by one"))
    places = np.flatnonzero(np.arange(150) % 20 != 7)
    with streaming(images, places, Windows(len(places), 10, 20, 2, 0)) as stream:
        for step in range(14):
            stream[stream.at(step).numpy()]
    assert len(asked) == 8 + 2  # 142 rows in 8 blocks: the epoch, and the first window of the next
    assert sorted(np.concatenate(asked[:8]).tolist()) == places.tolist()
    for first, second in zip(asked[:8:2], asked[1:8:2], strict=True):
        assert first[-1] < second[0]


def test_a_failed_read_reaches_the_training(tmp_path):
    write_shards(tmp_path, "images", [PIXELS], shape=PIXELS.shape, dtype="uint8", most=1e9)
    stored = Stored([tmp_path / "images.npy"])
    with (tmp_path / "images.npy").open("r+b") as file:
        file.truncate(200)
    with (
        pytest.raises(IntegrityError, match="is shorter than it was"),
        streaming(stored, np.arange(150), Windows(150, 10, 5, 3, 0)) as stream,
    ):
        stream[stream.at(0).numpy()]


@pytest.fixture(scope="module")
def sharded(domain, tmp_path_factory) -> Pack:
    """The 120 shapes, in shards of 1,000 bytes: 6 rows each."""
    whole = Pack(domain.root / "packs" / "shapes")
    folder = tmp_path_factory.mktemp("sharded") / "shapes"
    write_pack(
        folder,
        card=whole.card,
        examples=whole.examples,
        inputs=whole.inputs,
        rejected=pd.DataFrame(columns=["path", "reason"]),
        shard_gb=1e-6,
    )
    return Pack(folder)


@pytest.fixture
def run(caplog):
    """Trains on 108 rows of 144 bytes, 16 kB; gives W's bytes and what the log says of how they are read."""
    caplog.set_level("INFO", logger="headstart")

    def trained(pack: Pack, directory, *, memory_gb=8e-6, checkpoints=None, log=lambda *_: None):
        caplog.clear()
        pretrain(
            pack,
            directory,
            backbone="resnet8",
            settings=PretrainSettings(epochs=2, batch_size=16, validation_fraction=0.1, memory_gb=memory_gb),
            seed=0,
            accelerator=Accelerator(),
            checkpoints=checkpoints or Checkpoints(directory.with_name("checkpoints")),
            log=log,
        )
        said = [line for line in caplog.messages if line.startswith("pretrain: ")]
        return (directory / "weights.safetensors").read_bytes(), said

    return trained


def test_a_pack_that_fits_is_trained_on_as_ever_in_shards_or_not(run, domain, sharded, tmp_path):
    whole, said = run(Pack(domain.root / "packs" / "shapes"), tmp_path / "whole", memory_gb=4.0)
    assert run(sharded, tmp_path / "sharded", memory_gb=4.0)[0] == whole
    assert said == []


def test_a_pack_that_does_not_fit_is_read_in_windows_and_says_so_once(run, domain, sharded, tmp_path):
    found, said = run(sharded, tmp_path / "sharded")
    assert len(said) == 1
    assert said[0].startswith("pretrain: 1.6e-05 GB of rows, pretrain.memory_gb is 8e-06: they are read in blocks of ")
    assert run(Pack(domain.root / "packs" / "shapes"), tmp_path / "whole")[0] == found
    assert run(sharded, tmp_path / "fits", memory_gb=4.0)[0] != found


@pytest.mark.parametrize("stop", [1, 2])
def test_killed_it_goes_on_to_the_same_bytes(run, sharded, tmp_path, stop):
    whole, _ = run(sharded, tmp_path / "whole")

    def die(epoch, *values):
        if epoch == stop:
            raise Killed

    with pytest.raises(Killed):
        run(sharded, tmp_path / "weights", checkpoints=Checkpoints(tmp_path / "kept", every=0), log=die)
    assert any((tmp_path / "kept").iterdir())
    assert run(sharded, tmp_path / "weights", checkpoints=Checkpoints(tmp_path / "kept"))[0] == whole
    shutil.rmtree(tmp_path / "weights")


def test_what_is_read_ahead_has_no_say_in_the_bytes(run, sharded, tmp_path, monkeypatch):
    """Rows that come from no window at all train the same weights."""
    found, _ = run(sharded, tmp_path / "ahead")
    monkeypatch.setattr(module.Stream, "at", lambda self, step: self._order.rows(step))
    assert run(sharded, tmp_path / "alone")[0] == found


def test_what_is_streamed_is_not_kept_on_a_device(images):
    with streaming(images, np.arange(150), Windows(150, 10, 5, 3, 0)) as stream:
        rows = InputRows(stream, Normalisation((0.5,), (0.2,)), "image")
        assert not policy_of(Properties("cuda", "H100", (9, 0), 80 << 30), steps=1, input_bytes=rows.nbytes).resident
        sent = placed(rows, "cpu", resident=False)
        assert torch.equal(sent.plain(stream.at(3)), rows.plain(stream.at(3)))


def test_windows_of_this_training_are_several():
    """Or nothing above is about windows."""
    order = make_windows(108, row_bytes=144, batch=16, memory=8e3, seed=0)
    assert -(-108 // (order.block * order.blocks)) > 3
