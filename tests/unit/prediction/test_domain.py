"""How far a row lies from the labelled ones, and the threshold's promise: at most so many rows like them beyond it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.cells.run import run_cell
from headstart.datasets.pack import POOL
from headstart.errors import IntegrityError
from headstart.prediction import load
from headstart.prediction.domain import MOST_ROWS, conformal, fit_domain, read_domain, some, write_domain
from headstart.storage.publish import verify, write_manifest
from headstart.training.accelerator import Accelerator


def draw(rows: int, width: int = 20, *, seed: int = 0, shift: float = 0.0) -> torch.Tensor:
    """Rows of which some directions vary a hundred times as much as others."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, width, generator=generator) * torch.logspace(0, -2, width) + shift


@given(
    distances=st.lists(st.floats(0, 100, allow_nan=False), min_size=1, max_size=200),
    rate=st.floats(0.01, 0.5),
)
def test_the_threshold_leaves_at_most_the_rate_of_the_rows_that_it_is_from(distances, rate):
    threshold, kept = conformal(torch.tensor(distances, dtype=torch.float64), rate)
    count = len(distances)
    assert threshold in distances
    assert sum(distance > threshold for distance in distances) <= rate * (count + 1)
    assert kept == (rate if count + 1 >= 1 / rate - 1e-6 else 1 / (count + 1))
    if kept == rate:  # and the next smaller one would not do
        assert sum(distance >= threshold for distance in distances) >= rate * (count + 1) - 1 + 1e-9 - 1e-6


def test_literal_thresholds():
    hundred = torch.arange(1, 101, dtype=torch.float64)
    assert conformal(hundred, 0.05) == (96.0, 0.05)  # ceil(101 * 0.95)
    assert conformal(torch.arange(1.0, 20.0), 0.05) == (19.0, 0.05)  # 19 rows are just enough
    assert conformal(torch.arange(1.0, 19.0), 0.05) == (18.0, 1 / 19)


def test_rows_of_the_same_kind_are_flagged_at_the_rate_and_others_nearly_always():
    """Over 200 draws of 60 labelled rows and 100 others: fewer rows than features too."""
    flagged, found = [], []
    for seed in range(200):
        domain = fit_domain(draw(60, 80, seed=3 * seed), draw(100, 80, seed=3 * seed + 1))
        fresh = draw(50, 80, seed=3 * seed + 2)
        flagged.append(float((domain.distances(fresh) > 1).float().mean()))
        found.append(float((domain.distances(fresh + 0.3) > 1).float().mean()))
    assert 0.035 < np.mean(flagged) < 0.06
    assert np.mean(found) > 0.95


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 40), width=st.integers(1, 30), seed=st.integers(0, 1000))
def test_the_square_that_is_taken_apart_is_the_distance_in_the_shrunk_metric(rows, width, seed):
    """Against the definition: the inverse of (1 - s) S + s m I, with Ledoit and Wolf's s, by numpy."""
    from sklearn.covariance import ledoit_wolf_shrinkage

    labelled, fresh = draw(rows, width, seed=seed), draw(7, width, seed=seed + 1, shift=0.5)
    domain = fit_domain(labelled, draw(30, width, seed=seed + 2))
    kept = labelled.double().numpy()
    share = float(ledoit_wolf_shrinkage(kept)) if rows > 1 else 1.0
    centred = kept - kept.mean(0)
    covariance = centred.T @ centred / rows
    even = np.trace(covariance) / width or 1.0
    if share < 1e-3:
        return  # a floor stands in for it
    inverse = np.linalg.inv((1 - share) * covariance + share * even * np.eye(width))
    away = fresh.double().numpy()[:, None] - kept[None]
    expected = np.sqrt(np.einsum("fri,ij,frj->fr", away, inverse, away).min(1)) / domain.threshold
    assert domain.distances(fresh).numpy() == pytest.approx(expected, rel=2e-3, abs=2e-3)


@pytest.mark.parametrize("labelled", [torch.ones(5, 4), torch.zeros(1, 4), torch.zeros(6, 4)])
def test_labelled_rows_that_are_all_alike_have_a_domain_too(labelled):
    domain = fit_domain(labelled, labelled)
    assert torch.isfinite(domain.distances(labelled)).all()
    assert not bool((domain.distances(labelled) > 1).any())
    assert bool((domain.distances(labelled + 3) > 1).all())


def test_a_domain_needs_rows_of_both_kinds():
    with pytest.raises(ValueError, match="there are 0 and 3"):
        fit_domain(torch.zeros(0, 4), torch.zeros(3, 4))
    with pytest.raises(ValueError, match="there are 3 and 0"):
        fit_domain(torch.zeros(3, 4), torch.zeros(0, 4))


def test_of_many_rows_some_are_kept_from_the_first_to_the_last():
    rows = np.arange(1000, 6000)
    kept = some(rows, MOST_ROWS)
    assert (len(kept), kept[0], kept[-1]) == (MOST_ROWS, 1000, 5999)
    assert len(set(kept)) == MOST_ROWS
    assert some(rows[:9], MOST_ROWS).tolist() == rows[:9].tolist()


@pytest.fixture
def folder(domain, tmp_path):
    job = domain.job("full", cells=str(tmp_path))
    run_cell(job, Accelerator())
    return job.directory


def test_a_folder_without_a_domain_predicts_without_its_columns(folder, domain):
    assert read_domain(folder) is None
    found = load(folder).predict(domain.pack.inputs[:3])
    assert "distance" not in found.columns
    assert "out_of_domain" not in found.columns


def test_a_domain_goes_with_the_weights_and_adds_two_columns(folder, domain):
    images = domain.pack.inputs[domain.pack.rows(POOL)]
    before = load(folder)
    own = fit_domain(before.vectors(images[:10]), before.vectors(images[10:]))
    write_domain(folder, own)
    verify(folder)
    model = load(folder, batch_size=7)
    found = model.predict(images)
    assert found.columns[-2:].tolist() == ["distance", "out_of_domain"]
    assert found["out_of_domain"].dtype == bool
    assert found["out_of_domain"].tolist() == (found["distance"] > 1).tolist()
    assert found.iloc[:, :-2].to_numpy()[:, 1:].astype(float) == pytest.approx(before.probabilities(images), abs=1e-5)
    assert found["distance"].to_numpy() == pytest.approx(own.distances(before.vectors(images)).numpy(), abs=1e-3)
    assert len(model.predict(images[:0])) == 0


def test_a_domain_that_was_changed_is_refused(folder, domain):
    images = domain.pack.inputs[:20]
    model = load(folder)
    write_domain(folder, fit_domain(model.vectors(images[:10]), model.vectors(images[10:])))
    path = folder / "domain.json"
    path.write_text(path.read_text().replace('"labelled": 10', '"labelled": 99'))
    with pytest.raises(IntegrityError, match=r"domain\.json is not the file that was published"):
        load(folder)
    path.write_text('{"beside": 1.0}')
    write_manifest(folder)
    with pytest.raises(IntegrityError, match=r"domain\.json is not a domain that this version reads: .*threshold"):
        load(folder)
