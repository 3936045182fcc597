"""A delivered model on new inputs; that each strategy's predicts as its cell did is in strategies/."""

import numpy as np
import pandas as pd
import pytest
import torch

from headstart.cells.run import run_cell
from headstart.errors import DataError, IntegrityError
from headstart.objectives.classification import Classification
from headstart.prediction import ServedModel, load
from headstart.training.accelerator import Accelerator

KINDS = {"network": ("source", "sketches"), "probe": ("linear_probe", "sketches"), "means": ("source", "symbols")}


@pytest.fixture(scope="module", params=KINDS)
def folder(request, domains, tmp_path_factory):
    strategy, target = KINDS[request.param]
    job = domains[target].job(strategy, cells=str(tmp_path_factory.mktemp("cells")))
    run_cell(job, Accelerator())
    assert load(job.directory).card.kind == request.param
    return job.directory


@pytest.fixture(scope="module")
def model(folder):
    return load(folder)


@pytest.fixture(scope="module")
def images(domain) -> np.ndarray:
    return np.asarray(domain.pack.inputs[:10])


def test_each_row_is_a_distribution_over_the_classes(model, images):
    found = model.probabilities(images)
    assert found.shape == (10, 3)
    assert found.sum(1) == pytest.approx(np.ones(10), abs=1e-5)


def test_a_row_does_not_depend_on_those_beside_it(folder, model, images):
    whole = model.probabilities(images)
    for row in (0, 7):
        assert model.probabilities(images[row : row + 1]) == pytest.approx(whole[row : row + 1], abs=1e-5)
    assert load(folder, batch_size=3).probabilities(images) == pytest.approx(whole, abs=1e-5)


def test_no_images_are_no_rows(model):
    assert model.probabilities(np.zeros((0, 1, 12, 12), np.uint8)).shape == (0, 3)
    assert len(model.predict(np.zeros((0, 1, 12, 12), np.uint8))) == 0


def test_the_answer_has_the_class_and_a_column_of_probability_a_class(model, images):
    found = model.predict(images)
    assert found.columns.tolist() == ["prediction", *(f"probability.{name}" for name in model.card.classes)]
    best = found.iloc[:, 1:].idxmax(axis=1).str.removeprefix("probability.")
    assert found["prediction"].tolist() == best.tolist()
    assert found.iloc[:, 1:].to_numpy() == pytest.approx(model.probabilities(images))


def test_a_class_may_be_called_prediction():
    answers = Classification(("prediction", "other")).frame(torch.tensor([[0.8, 0.2]]))
    assert answers.columns.tolist() == ["prediction", "probability.prediction", "probability.other"]
    assert answers["prediction"].tolist() == ["prediction"]


@pytest.mark.parametrize("shape", [(2, 3, 12, 12), (2, 1, 14, 12), (2, 12, 12), (1, 12, 12, 1)])
def test_images_of_another_shape_are_refused(model, shape):
    with pytest.raises(DataError) as caught:
        model.probabilities(np.zeros(shape, np.uint8))
    assert f"rows have shape {shape}, but this model takes (rows, 1, 12, 12)" in str(caught.value)


def test_served_it_takes_the_channels_last_as_others_do(model, images):
    served = ServedModel(model).predict(images.transpose(0, 2, 3, 1))
    pd.testing.assert_frame_equal(served, model.predict(images))
    as_lists = ServedModel(model).predict(images.transpose(0, 2, 3, 1).tolist())
    pd.testing.assert_frame_equal(as_lists, model.predict(images))


@pytest.mark.parametrize("shape", [(12, 12), (2, 12, 12), (2, 12, 12, 3)])
def test_served_it_refuses_images_of_another_shape(model, shape):
    with pytest.raises(DataError) as caught:
        ServedModel(model).predict(np.zeros(shape, np.uint8))
    assert f"rows have shape {shape}, but this model takes (rows, 12, 12, 1)" in str(caught.value)


def test_a_delivered_model_that_was_changed_is_refused(domain, tmp_path):
    job = domain.job("source", cells=str(tmp_path))
    run_cell(job, Accelerator())
    path = job.directory / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(IntegrityError, match=r"weights\.safetensors is not the file that was published"):
        load(job.directory)


def test_the_entry_that_mlflow_calls_loads_the_same(domain, tmp_path, images):
    from headstart.prediction import _load_pyfunc

    job = domain.job("source", cells=str(tmp_path))
    run_cell(job, Accelerator())
    served = _load_pyfunc(str(job.directory)).predict(images.transpose(0, 2, 3, 1))
    pd.testing.assert_frame_equal(served, load(job.directory).predict(images))
