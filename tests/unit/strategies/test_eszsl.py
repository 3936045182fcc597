"""eszsl against its objective's own minimum, on a planted target, and blind to every label of the unseen classes."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from part_pictures import CLASSES, UNSEEN
from scipy.linalg import solve_sylvester
from scipy.optimize import minimize

from headstart.cells.cell import Cell
from headstart.cells.run import read_summary, run_cell
from headstart.datasets.pack import read_test_labels
from headstart.evaluation.metrics import seen_and_unseen
from headstart.storage.publish import write_json, write_manifest
from headstart.strategies.eszsl import HANDICAPS, _harmonic_means, _LeftOut, heads, scaled, solve
from headstart.training.accelerator import Accelerator

G, L = 0.7, 3.0


@pytest.fixture(scope="module")
def problem():
    """Vectors (30, 6), labels of five classes as 1 and -1, and what each class is like, (5, 3)."""
    draw = np.random.default_rng(0)
    y = np.where(np.eye(5)[np.arange(30) % 5] == 1, 1.0, -1.0)
    return draw.normal(size=(30, 6)), y, draw.normal(size=(5, 3))


@pytest.fixture(scope="module")
def solved(problem):
    x, y, s = (torch.from_numpy(part) for part in problem)
    return next(solve(x, y, s, [(G, L)])).numpy()


def cost(v: np.ndarray, problem) -> float:
    """Romera-Paredes 2015, equation 3, with beta = gamma lambda: what their closed form is the minimum of."""
    x, y, s = problem
    v = v.reshape(x.shape[1], s.shape[1])
    return ((x @ v @ s.T - y) ** 2).sum() + G * ((v @ s.T) ** 2).sum() + L * ((x @ v) ** 2).sum() + G * L * (v**2).sum()


def test_the_closed_form_is_the_minimum_of_the_papers_objective(problem, solved):
    found = minimize(
        cost, np.zeros(solved.size), args=(problem,), method="BFGS", options={"gtol": 1e-8, "maxiter": 5000}
    )
    assert np.allclose(found.x.reshape(solved.shape), solved, atol=1e-4)
    for place in range(solved.size):  # and in no direction is there a slope
        step = np.zeros(solved.size)
        step[place] = 1e-4
        slope = (cost(solved.ravel() + step, problem) - cost(solved.ravel() - step, problem)) / 2e-4
        assert abs(slope) < 1e-6


def test_it_solves_the_normal_equations(problem, solved):
    """(X'X + gI) V (S'S + lI) = X'Y S, as a Sylvester equation that scipy solves."""
    x, y, s = problem
    left, right = x.T @ x + G * np.eye(6), s.T @ s + L * np.eye(3)
    assert np.allclose(left @ solved @ right, x.T @ y @ s)
    wanted = solve_sylvester(left, np.zeros((3, 3)), x.T @ y @ s @ np.linalg.inv(right))
    assert np.allclose(solved, wanted)


def test_scores_are_centred_with_an_sd_of_one_and_are_of_all_classes(problem):
    x, _, s = (torch.from_numpy(part) for part in problem)
    labels = torch.arange(30) % 3 * 2  # classes 0, 2 and 4 of five
    seen = torch.tensor([0, 2, 4])
    found = list(heads(x, labels, scaled(s), seen, [(0.1, 0.1), (10.0, 1.0)]))
    for weight, bias in found:
        scores = x @ weight.T + bias
        assert weight.shape == (5, 6)
        assert float(scores.std()) == pytest.approx(1, rel=1e-6)
        assert torch.allclose(scores.mean(0), torch.zeros(5, dtype=torch.float64), atol=1e-9)
    assert not torch.allclose(found[0][0], found[1][0])


def test_signatures_are_standardised_and_of_unit_length_and_a_column_that_is_the_same_has_no_say():
    table = torch.tensor([[0.0, 10, 1], [1, 20, 1], [1, 60, 1]], dtype=torch.float64)
    found = scaled(table)
    assert torch.allclose(found.norm(dim=1), torch.ones(3, dtype=torch.float64))
    assert found[:, 2].tolist() == [0, 0, 0]
    assert torch.allclose(found, scaled(table * torch.tensor([3.0, 7.0, 2.0]) + 5))


@pytest.fixture(scope="module")
def finished(domains):
    job = domains["marks"].job("eszsl")
    run_cell(job, Accelerator())
    return job


def predicted(job) -> "pd.Series[str]":
    return pd.read_parquet(job.directory / "predictions.parquet").set_index("id")["prediction"]


def test_classes_without_a_label_are_told_far_above_chance(finished, domains):
    """Of seven classes two are unseen; chance is a seventh."""
    found = predicted(finished)
    truth = read_test_labels(domains["marks"].places.pack).set_index("id")["label"][found.index]
    names = sorted(CLASSES)
    numbers = {name: place for place, name in enumerate(names)}
    scores = seen_and_unseen(
        truth.map(numbers).to_numpy(), found.map(numbers).to_numpy(), {numbers[name] for name in UNSEEN}
    )
    assert scores["unseen"] > 0.5
    assert scores["seen"] > 0.5
    assert scores["harmonic_mean"] > 0.6


def test_a_handicap_gives_unseen_classes_their_rows_back():
    """Of three classes the last was taken for unseen, and its right score is 1 below that of a seen one."""
    scores = torch.tensor([[[3.0, 0, 0], [0, 3.0, 0], [2.0, 0, 1.0], [0, 2.0, 1.0]]], dtype=torch.float64)
    fold = _LeftOut(scores, torch.tensor([0, 1, 2, 2]), torch.tensor([False, False, True]))
    found = _harmonic_means([fold], 0)
    assert found[HANDICAPS < 0.95].tolist() == [0.0] * 10
    assert found[(HANDICAPS > 1.05) & (HANDICAPS < 2.95)].tolist() == [1.0] * 19
    assert found[HANDICAPS > 3.05].tolist() == [0.0] * 10  # and now seen classes never win


def test_no_row_of_an_unseen_class_is_among_its_labelled_ones(finished, domains):
    examples = domains["marks"].pack.examples.set_index("id")
    labelled = examples["label"][read_summary(finished)["labelled"]]
    assert not set(labelled) & set(UNSEEN)
    assert len(labelled) == 5 * 4
    full = Cell(domains["marks"].job("full"), Accelerator()).labelled_ids
    assert set(labelled.index) < set(full)  # of the others it has the very same


@pytest.mark.parametrize("into", ["swapped", "one of them"])
def test_its_bytes_are_the_same_whatever_the_labels_of_unseen_classes_are(finished, domains, tmp_path, into):
    """In test_every_strategy.py they are taken away as well, or become others."""
    pack = tmp_path / "marks"
    shutil.copytree(domains["marks"].places.pack, pack)
    examples = pd.read_parquet(pack / "examples.parquet")
    change = {"eye": "ear", "ear": "eye" if into == "swapped" else "ear"}
    altered = examples["label"].replace(change)
    assert (altered != examples["label"])[examples["label"].notna()].sum() in (14, 28)
    examples.assign(label=altered).to_parquet(pack / "examples.parquet", index=False)
    card = json.loads((pack / "card.json").read_text())
    card["pack"]["counts"] = {}
    write_json(pack / "card.json", card)
    write_manifest(pack)
    again = replace(finished, pack=str(pack), cells=str(tmp_path / "cells"))
    run_cell(again, Accelerator())
    for name in ("predictions.parquet", "history.csv", "weights.safetensors", "card.json"):
        assert (again.directory / name).read_bytes() == (finished.directory / name).read_bytes()


def test_with_the_fewest_labels_it_still_chooses(domains):
    """Two labels a class: one to train on, one held out."""
    fitted = run_cell(domains["marks"].job("eszsl", label_budget=2), Accelerator())
    assert len(fitted["labelled"]) == 10


def test_the_classes_it_does_without_are_part_of_its_key_and_of_no_other(domains):
    assert domains["marks"].job("eszsl").key != domains["marks"].job("eszsl", unseen=("eye",)).key
    assert domains["marks"].job("full").unseen == ()
