"""How fast a delivered model predicts, held to a model whose speed is known: it sleeps."""

import time

import numpy as np
import pytest

from headstart.backbones.network import Network
from headstart.cells.run import run_cell
from headstart.prediction import load
from headstart.prediction.speed import measure_speed
from headstart.training.accelerator import Accelerator

IMAGES = np.arange(5 * 4, dtype=np.uint8).reshape(5, 1, 2, 2)


class Sleeper:
    """2 ms a call and 0.1 ms a row; the first call, which sets things up, takes much longer."""

    batch_size = 256

    def __init__(self):
        self.sizes, self.seen = [], set()

    def predict(self, images):
        time.sleep((0.002 if self.sizes else 0.3) + 0.0001 * len(images))
        self.sizes.append(len(images))
        self.seen |= {image.tobytes() for image in images}


def test_it_is_what_a_clock_says():
    model = Sleeper()
    start = time.perf_counter()
    found = measure_speed(model, IMAGES)
    taken = time.perf_counter() - start - 0.3
    assert found.batch_rows == 256
    assert 256 / 0.0276 * 0.3 < found.rows_per_second <= 256 / 0.0276
    assert 2.1 <= found.latency_ms_p50 <= found.latency_ms_p99 < 100
    assert found.latency_ms_p50 < 5
    assert taken < 2.0
    assert model.seen == {image.tobytes() for image in IMAGES}
    assert model.sizes[-found.singles :] == [1] * found.singles
    assert found.singles >= 20
    assert found.batches >= 3


def test_a_slow_models_batches_stay_short():
    class Slow(Sleeper):
        def predict(self, images):
            time.sleep(0.03 * len(images))
            self.sizes.append(len(images))

    model = Slow()
    found = measure_speed(model, IMAGES)
    assert found.batch_rows == max(model.sizes) == 1
    assert found.rows_per_second == pytest.approx(33, rel=0.3)
    assert found.batches >= 3


@pytest.mark.parametrize("strategy", ["scratch", "linear_probe"])
def test_every_row_goes_through_the_whole_body(domain, tmp_path, monkeypatch, strategy):
    """A probe's vectors were computed once for training; in use W computes them anew for each row."""
    job = domain.job(strategy, cells=str(tmp_path))
    run_cell(job, Accelerator())
    model, entered, left, asked = load(job.directory), [], [], []
    whole, run = model.predict, Network.run

    def counted(network, activations, start, stop):
        (entered if start == 0 else []).append(len(activations))
        (left if stop == len(network.blocks) else []).append(len(activations))
        return run(network, activations, start, stop)

    monkeypatch.setattr(Network, "run", counted)
    monkeypatch.setattr(model, "predict", lambda images: asked.append(len(images)) or whole(images))
    found = measure_speed(model, domain.pack.inputs[:40])
    assert entered == left == asked
    assert 0 < found.latency_ms_p50 <= found.latency_ms_p99
    assert found.rows_per_second > 1000 / found.latency_ms_p50  # together they are faster
