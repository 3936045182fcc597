"""The source entrant: W's own head where the classes match, else the nearest class mean (SimpleShot's CL2N)."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestCentroid

from headstart.cells.cell import Cell
from headstart.objectives.classification import Classification
from headstart.strategies.source import fit
from headstart.training.accelerator import Accelerator
from headstart.training.loop import predict
from headstart.training.rows import InputRows


def fitted(domain, **changes):
    cell = Cell(domain.job("source", **changes), Accelerator())
    return cell, fit(cell)


def test_with_the_sources_classes_it_is_w_itself(domains):
    cell, found = fitted(domains["sketches"])
    assert cell.objective.classes == cell.source_card.classes
    rows = InputRows(cell.stored(cell.test_rows), cell.source_card.normalisation, "image")
    expected = predict(cell.source_network, rows, accelerator=Accelerator())
    assert found.kind == "network"
    assert torch.allclose(found.snapshots[-1].test, expected, atol=1e-5)
    assert found.compute == 0.0


def test_a_part_of_the_sources_classes_in_another_order_still_finds_its_rows_of_the_head(domains):
    cell, whole = fitted(domains["sketches"])
    cell.objective = Classification(("disc", "bar"))
    cell.train_labels, cell.validation_labels = cell.train_labels % 2, cell.validation_labels % 2
    part = fit(cell)
    scores = whole.snapshots[-1].test.log()[:, [2, 0]]
    assert torch.allclose(part.snapshots[-1].test, torch.softmax(scores, 1), atol=1e-5)
    assert part.tensors["head.bias"].shape == (2,)


def test_with_other_classes_it_is_the_nearest_mean_of_centred_features_of_unit_length(domains):
    cell, found = fitted(domains["symbols"])
    assert not set(cell.objective.classes) & set(cell.source_card.classes)
    assert found.kind == "means"
    centre = np.load(f"{cell.job.source_features}/pooled.npy").mean(0)
    pooled = np.load(f"{cell.job.features}/pooled.npy") - centre
    unit = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    nearest = NearestCentroid().fit(unit[cell.train_rows], cell.train_labels.numpy())
    assert found.snapshots[-1].test.argmax(1).tolist() == nearest.predict(unit[cell.test_rows]).tolist()
    distances = ((unit[cell.test_rows][:, None] - nearest.centroids_[None]) ** 2).sum(2)
    temperature = float(found.tensors["means.temperature"])
    expected = torch.softmax(torch.from_numpy(-distances / temperature), 1)
    assert found.snapshots[-1].test.numpy() == pytest.approx(expected.numpy(), abs=1e-4)


def test_one_class_that_w_does_not_know_is_enough_for_the_nearest_mean(domains):
    cell = Cell(domains["sketches"].job("source"), Accelerator())
    cell.objective = Classification(("bar", "cross", "moon"))
    assert fit(cell).kind == "means"


def test_its_own_head_uses_no_label_and_the_means_do(domains):
    """With other labelled rows W's head says the same, the means something else."""
    heads = [fitted(domains["sketches"], seed=seed)[1].snapshots[-1].test for seed in (0, 1)]
    means = [fitted(domains["symbols"], seed=seed)[1].snapshots[-1].test for seed in (0, 1)]
    assert torch.equal(*heads)
    assert not torch.equal(*means)
