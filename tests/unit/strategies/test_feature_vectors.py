"""The strategies on feature vectors against scikit-learn's, and against the papers' formulas."""

import numpy as np
import pytest
import torch
from scipy.linalg import fractional_matrix_power
from sklearn.covariance import ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import NearestCentroid

from headstart.cells.cell import Cell
from headstart.cells.vectors import centre_of_source, centred, vectors
from headstart.strategies.coral import align
from headstart.strategies.lda import discriminant
from headstart.strategies.table import STRATEGIES
from headstart.training.accelerator import Accelerator


@pytest.fixture
def blobs():
    """90 vectors of three classes in eight dimensions, with a covariance that is not a sphere's."""
    draw = np.random.default_rng(0)
    labels = np.arange(90) % 3
    mixing = draw.normal(size=(8, 8))
    return draw.normal(size=(90, 8)) @ mixing + draw.normal(size=(3, 8))[labels] * 3, labels


@pytest.fixture
def fit(domain):
    """Fits a strategy's cell on the target that has the source's classes."""

    def run(strategy: str, **recipe):
        job = domain.job(strategy)
        changed = domain.job(strategy, recipe=job.recipe.model_copy(update=recipe))
        cell = Cell(changed, Accelerator())
        return cell, STRATEGIES.get(strategy).load()(cell)

    return run


def test_lda_is_scikit_learns_at_the_same_shrinkage(blobs):
    """There the shrinkage is one class's affair; equal for all, it is that of their pooled covariance."""
    features, labels = blobs
    residuals = features - np.stack([features[labels == label].mean(0) for label in range(3)])[labels]
    _, shrinkage = ledoit_wolf(residuals, assume_centered=True)
    weight, bias = discriminant(torch.from_numpy(features), torch.from_numpy(labels), classes=3)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(features, labels)
    # scikit-learn divides the scatter by the rows, and not by the degrees of freedom; its shrinkage is of that
    wanted = theirs.coef_ * (90 - 3) / 90
    assert np.allclose(weight.numpy() - weight.numpy().mean(0), wanted - wanted.mean(0), rtol=1e-4, atol=1e-6)
    scores = features @ weight.numpy().T + bias.numpy()
    assert (scores.argmax(1) == theirs.predict(features)).mean() > 0.98


def test_a_class_of_one_row_has_a_discriminant(blobs):
    features, labels = blobs
    kept = np.concatenate([np.flatnonzero(labels != 2), [2]])
    weight, bias = discriminant(torch.from_numpy(features[kept]), torch.from_numpy(labels[kept]), classes=3)
    assert torch.isfinite(weight).all()
    assert torch.isfinite(bias).all()
    assert (torch.from_numpy(features[2]) @ weight.T + bias).argmax() == 2


def test_coral_is_the_papers_formula():
    draw = np.random.default_rng(1)
    source = draw.normal(size=(200, 5)) @ draw.normal(size=(5, 5)) + 3
    target = draw.normal(size=(150, 5)) @ draw.normal(size=(5, 5)) - 1
    found = align(torch.from_numpy(source), torch.from_numpy(target)).numpy()
    whitened = (source - source.mean(0)) @ fractional_matrix_power(ledoit_wolf(source)[0], -0.5)
    wanted = whitened @ fractional_matrix_power(ledoit_wolf(target)[0], 0.5) + target.mean(0)
    assert np.allclose(found, wanted)
    assert np.allclose(found.mean(0), target.mean(0))


def test_coral_gives_the_source_the_targets_covariance():
    draw = np.random.default_rng(2)
    source = draw.normal(size=(20_000, 4)) @ draw.normal(size=(4, 4))
    target = draw.normal(size=(20_000, 4)) @ draw.normal(size=(4, 4))
    found = align(torch.from_numpy(source), torch.from_numpy(target)).numpy()
    assert np.allclose(np.cov(found.T), np.cov(target.T), rtol=0.02, atol=0.02 * np.cov(target.T).max())


def test_coral_leaves_out_directions_in_which_nothing_varies():
    """As after a ReLU that is never on."""
    draw = np.random.default_rng(3)
    source, target = draw.normal(size=(50, 3)), draw.normal(size=(40, 3))
    source[:, 1] = target[:, 1] = 0
    assert torch.isfinite(align(torch.from_numpy(source), torch.from_numpy(target))).all()


def test_nearest_mean_is_the_nearest_centroid_of_centred_unit_vectors(fit):
    cell, fitted = fit("nearest_mean")
    centre = centre_of_source(cell)
    rows = vectors(cell).through(lambda part: centred(part, centre))
    theirs = NearestCentroid().fit(rows.train.numpy(), cell.train_labels.numpy())
    assert (fitted.snapshots[0].test.argmax(1).numpy() == theirs.predict(rows.test.numpy())).all()


def test_the_probabilities_of_knn_are_shares_of_the_neighbours_votes(fit):
    """Worked out row by row, for the number of neighbours that was kept."""
    cell, fitted = fit("knn", neighbours=(3,))
    centre = centre_of_source(cell)
    rows = vectors(cell).through(lambda part: centred(part, centre))
    assert fitted.tensors["neighbours.count"].tolist() == [3]
    temperature = float(fitted.tensors["neighbours.temperature"])
    for row, found in zip(rows.test.numpy(), fitted.snapshots[0].test.numpy(), strict=True):
        nearness = rows.train.numpy() @ row
        near = np.argsort(-nearness)[:3]
        weights = np.exp(nearness[near] / 0.07)
        votes = [weights[cell.train_labels.numpy()[near] == label].sum() / weights.sum() for label in range(3)]
        shares = ((np.array(votes) + 0.01) / 1.03) ** (1 / temperature)
        assert np.allclose(found, shares / shares.sum(), atol=1e-5)


def test_more_neighbours_than_rows_are_all_rows(fit):
    cell, fitted = fit("knn", neighbours=(500,))
    assert fitted.tensors["neighbours.count"].tolist() == [len(cell.train_rows) - 1]


def test_coral_without_a_share_fits_its_head_to_no_label_of_the_target(fit, monkeypatch):
    """The labels of the training rows play no part; those held out choose the penalty."""
    _, fitted = fit("coral", target_shares=(0.0,))
    from headstart.objectives.classification import Classification

    real = Classification.targets
    monkeypatch.setattr(
        Classification, "targets", lambda *given: real(*given).flip(0) if _many(given) else real(*given)
    )
    cell, other = fit("coral", target_shares=(0.0,))
    assert torch.equal(fitted.tensors["probe.weight"], other.tensors["probe.weight"])
    assert torch.equal(fitted.tensors["probe.bias"], other.tensors["probe.bias"])
    assert cell.train_labels.tolist() != sorted(cell.train_labels.tolist())


def _many(given) -> bool:
    return len(given[2]) > 3  # the training rows; three are held out
