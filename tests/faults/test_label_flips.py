"""Planted label errors in a real run's data: how many the step `quality` finds, under the W of a real pretraining."""

import time

import numpy as np
import pytest
import tally

pytestmark = pytest.mark.faults

SEEDS = 10


@pytest.fixture(scope="module")
def project(make_project):
    """mnist5k -> digits, as far as the vectors."""
    settings = {"source.data": ["mnist5k"], "target.data": "digits", "built_in": ["mnist5k", "digits"]}
    sizes = {"data.image_size": 28, "data.smallest_test": 150, "pretrain.epochs": 4}
    labels = {"finetune.label_budget": 10, "finetune.curve_budgets": [5]}
    project = make_project(**settings, **sizes, **labels)
    project.headstart("explore")
    return project


def test_planted_label_errors(project) -> None:
    from headstart.datasets.pack import TEST, Pack
    from headstart.evaluation.label_errors import doubtful_classes

    start = time.monotonic()
    pack = Pack(project.root / "packs" / "digits")
    rows = np.flatnonzero((pack.examples["split"] != TEST).to_numpy())
    vectors = np.load(project.root / "features" / "mnist5k" / "digits" / "pooled.npy")[rows]
    names = {name: number for number, name in enumerate(pack.card.classes)}
    labels = pack.examples["label"].iloc[rows].map(names).to_numpy()
    planted = found = 0
    for seed in range(SEEDS):
        draw = np.random.default_rng(seed)
        wrong = draw.choice(len(labels), len(labels) // 20, replace=False)
        given = labels.copy()
        given[wrong] = (labels[wrong] + draw.integers(1, 10, len(wrong))) % 10
        doubts = doubtful_classes(vectors, given, seed=0)
        first = np.argsort(doubts.margins)[: len(wrong)]
        planted, found = planted + len(wrong), found + int(np.isin(first, wrong).sum())
    promise = "5% planted label errors that lie among the 5% that are doubted most (digits, under mnist5k's W)"
    tally.record(promise, tried=planted, held=found, seconds=time.monotonic() - start)
    assert found >= 0.6 * planted
