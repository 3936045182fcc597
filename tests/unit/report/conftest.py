"""A made-up but plausible run: scikit-learn's digits as pictures, predictions drawn from rows of unequal difficulty."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from headstart.evaluation.clusters import Cluster, Clusters, Figure, Fit, Shown, Vectors
from headstart.evaluation.ranking import Estimate, Ranked, Ranking
from headstart.report.inputs import ReportInputs

FAMILIES = {
    "source": "feature vector",
    "scratch": "control",
    "linear_probe": "fully supervised",
    "frozen_blocks": "fully supervised",
    "full": "fully supervised",
}
SKILL = {"source": 0.7, "scratch": 2.6, "linear_probe": 2.2, "frozen_blocks": 2.9, "full": 3.7}  # logits
SPEEDS = {"rows_per_second": 12345.6, "latency_ms_p50": 0.8412, "latency_ms_p99": 12.34}
BY_BUDGET = {5: -1.1, 10: 0.0, 20: 0.9}
STEPS = {"scratch": 6.0e13, "frozen_blocks": 1.1e13, "full": 2.0e13, "linear_probe": 4.0e10, "source": 0.0}


@pytest.fixture(scope="session")
def make_inputs() -> Callable[..., ReportInputs]:
    """The run for any number of seeds, budgets, rows, and any names of classes; other fields may be given too."""
    return _make


@pytest.fixture(scope="session")
def inputs() -> ReportInputs:
    """Five seeds, three budgets, ten digits."""
    return _make()


def _make(
    *,
    seeds: int = 5,
    budgets: tuple[int, ...] = (5, 10, 20),
    rows: int = 200,
    classes: list[str] | None = None,
    strategies: tuple[str, ...] = tuple(FAMILIES),
    colour: bool = False,
    **given: Any,
) -> ReportInputs:
    rng = np.random.default_rng(3)
    classes = classes or [str(digit) for digit in range(10)]
    digits = load_digits()
    pictures = (digits.images[:rows] * 15.9).astype(np.uint8)
    if colour:
        pictures = np.stack([pictures, 255 - pictures, pictures // 2], axis=-1)
    truth = digits.target[:rows] if len(classes) == 10 else rng.integers(0, len(classes), rows)
    ids = [f"row{place:05d}" for place in range(rows)]
    predictions = _predictions(rng, ids, truth, classes, strategies, seeds, budgets)
    values: dict[str, Any] = {
        "verdict": _verdict(seeds),
        "comparison": _comparison(predictions),
        "differences": _differences(strategies),
        "predictions": predictions,
        "convergence": _convergence(rng, seeds),
        "cells": _cells(rng, strategies, seeds, budgets),
        "classes": classes,
        "chosen": "full",
        "headline_budget": 10,
        "images": dict(zip(ids, pictures, strict=True)),
        "source_samples": [[(classes[t], p) for t, p in zip(truth[:20], pictures[:20], strict=True)]],
        "target_samples": [(classes[t], p) for t, p in zip(truth[20:40], pictures[20:40], strict=True)],
        "target_features": _features(rng, truth),
        "target_raw": digits.data[:rows],
        "target_labels": [classes[t] for t in truth],
        "source_cards": [_card("mnist5k", classes, 500, removed_overlap=3)],
        "target_card": _card("digits", classes, 180, removed_overlap=0),
        "settings_yaml": "seed: 0\nbackbone: resnet8\nsource:\n  data: [mnist5k]\ntarget:\n  data: digits\n",
        "reproduce": {
            "revision": "4f1c2d9",
            "commands": ["git checkout 4f1c2d9", "dvc checkout", "headstart run"],
            "versions": {"torch": "2.14.1", "dvc": "3.67.1"},
            "threads": 1,
            "device": "cpu",
            "seeds": list(range(seeds)),
        },
        "clusters": _clusters(classes, ids),
        "cluster_images": dict(zip(ids[:4], pictures[:4], strict=True)),
        "ranking": Ranking((Ranked("mnist5k", Estimate(0.962, 0.945, 0.979), None, 0.966, 0.396, 5000, None),), {}, 0),
    }
    return ReportInputs(**(values | given))


def _verdict(seeds: int) -> dict[str, Any]:
    scratch = {
        "sentence": "transfer helped: full +4.1 points over training from scratch",
        "verdict": "helped",
        "reason": None,
        "withheld": None,
        "strategy": "full",
        "against": "scratch",
        "label_budget": 10,
        "difference": 0.041,
        "low": 0.012,
        "high": 0.070,
        "p_value": 0.0062,
        "p_holm": 0.0123,
        "wins": 71,
        "losses": 24,
        "wins_per_seed": 71 / seeds,
        "losses_per_seed": 24 / seeds,
        "rows": 200,
        "labels_saved": {"ratio": 1.9, "low": 1.3, "high": 2.8, "censored": False, "bound": "="},
        "compute_saved": {
            "given_w": {"ratio": 3.2, "low": 2.1, "high": None, "censored": True, "bound": ">="},
            "with_pretraining": {"ratio": 0.31, "low": 0.3, "high": 0.33, "censored": False, "bound": "="},
        },
        "gap": {"difference": -0.028, "low": -0.05, "high": -0.006, "strategy": 0.05, "opponent": 0.078},
    }
    source = scratch | {
        "sentence": "transfer helped: full +31.0 points over the source model as it is",
        "against": "source",
        "difference": 0.31,
        "low": 0.27,
        "high": 0.35,
        "p_value": 1e-7,
        "p_holm": 2e-7,
    }
    equal = scratch | {
        "sentence": "at equal compute: full +5.2 points over training from scratch",
        "against": "scratch:equal_compute",
        "difference": 0.052,
        "low": 0.018,
        "high": 0.086,
    }
    return {
        "sentence": "transfer helped: +4.1 points over training from scratch "
        "(95% CI +1.2..+7.0; from this W), 1.9x fewer labels for the same accuracy",
        "metric": "accuracy",
        "resolution": 0.031,
        "seeds": seeds,
        "confidence": 0.95,
        "margin": 0.01,
        "against_scratch": scratch,
        "against_source": source,
        "equal_compute": equal,
        "control": {"gain": 0.008, "low": -0.008, "high": 0.024, "p_value": 0.06, "still_improves": False},
        "rounds": [],
        "opened": 1,
        "warnings": [],
    }


def _predictions(
    rng: np.random.Generator,
    ids: list[str],
    truth: np.ndarray,
    classes: list[str],
    strategies: tuple[str, ...],
    seeds: int,
    budgets: tuple[int, ...],
) -> pd.DataFrame:
    difficulty, parts = rng.normal(0, 1.6, len(ids)), []
    confusable = rng.permutation(len(classes))
    for strategy in strategies:
        for budget in budgets if strategy in ("scratch", "full") else (10,):
            for seed in range(seeds):
                skill = SKILL[strategy] + BY_BUDGET[budget] + rng.normal(0, 0.15)
                right = rng.random(len(ids)) < 1 / (1 + np.exp(difficulty - skill))
                other = np.where(rng.random(len(ids)) < 0.6, confusable[truth], rng.integers(0, len(classes), len(ids)))
                given = np.where(right, truth, other)
                parts.append(
                    pd.DataFrame(
                        {
                            "id": ids,
                            "strategy": strategy,
                            "label_budget": budget,
                            "seed": seed,
                            "truth": [classes[t] for t in truth],
                            "prediction": [classes[p] for p in given],
                        }
                    )
                )
    return pd.concat(parts, ignore_index=True)


def _comparison(predictions: pd.DataFrame) -> pd.DataFrame:
    hits = predictions.assign(value=(predictions["truth"] == predictions["prediction"]).astype(float))
    test = hits.groupby(["strategy", "label_budget", "seed"], sort=False)["value"].mean().reset_index()
    parts = [
        test.assign(split="test", metric="accuracy"),
        test.assign(split="test", metric="macro_f1", value=test["value"] - 0.004),
        test.assign(split="test", metric="log_loss", value=1.3 * (1 - test["value"]) + 0.05),
        test.assign(split="validation", metric="accuracy", value=test["value"] - 0.01),
        test[test["strategy"] != "source"].assign(split="train", metric="accuracy", value=0.998),
    ]
    last = test[test["label_budget"] == 10].drop_duplicates("strategy", keep="last").assign(split="prediction")
    parts += [last.assign(metric=name, value=value) for name, value in SPEEDS.items()]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(family=table["strategy"].map(FAMILIES), seconds=12.0)


def _differences(strategies: tuple[str, ...]) -> pd.DataFrame:
    known = {
        "source": (-0.29, -0.34, -0.24),
        "linear_probe": (-0.031, -0.062, 0.0),
        "frozen_blocks": (0.012, -0.018, 0.042),
        "full": (0.041, 0.012, 0.070),
    }
    rows = [(name, *known[name]) for name in strategies if name in known]
    return pd.DataFrame(rows, columns=["strategy", "difference", "low", "high"])


def _convergence(rng: np.random.Generator, seeds: int) -> pd.DataFrame:
    whole = (0.1, 0.25, 0.5, 0.75, 1.0)
    ends = {
        ("scratch", ""): (6.0e13, 0.915, whole),
        ("scratch", "half_steps"): (3.0e13, 0.903, (1.0,)),
        ("scratch", "equal_compute"): (2.0e13, 0.889, (1.0,)),
        ("full", ""): (2.0e13, 0.951, whole),
    }
    rows = []
    for (strategy, variant), (compute, end, snapshots) in ends.items():
        for seed in range(seeds):
            level = end + rng.normal(0, 0.006)
            for progress in snapshots:
                accuracy = level - 0.35 * np.exp(-5 * progress) * (1.6 if strategy == "scratch" else 0.7)
                rows.append((strategy, variant, 10, seed, progress, compute * progress, accuracy))
    columns = ["strategy", "variant", "label_budget", "seed", "progress", "compute", "accuracy"]
    return pd.DataFrame(rows, columns=columns)


def _cells(rng: np.random.Generator, strategies: tuple[str, ...], seeds: int, budgets: tuple[int, ...]) -> pd.DataFrame:
    rows = []
    for strategy in strategies:
        shares = {"": 1.0} | ({"half_steps": 0.5, "equal_compute": 0.33} if strategy == "scratch" else {})
        for variant, share in shares.items():
            for budget in budgets if strategy in ("scratch", "full") else (10,):
                for seed in range(seeds):
                    compute = STEPS[strategy] * share
                    pretraining = 0.0 if strategy == "scratch" else 1.8e14
                    seconds = 0.05 + compute * 4e-13 * rng.uniform(0.95, 1.05)
                    rows.append((strategy, variant, budget, seed, seconds, compute, pretraining, 10 * budget))
    names = "strategy variant label_budget seed seconds compute pretraining_compute labels"
    return pd.DataFrame(rows, columns=names.split())


def _features(rng: np.random.Generator, truth: np.ndarray) -> np.ndarray:
    middles = rng.normal(0, 2.6, (int(truth.max()) + 1, 48))
    return np.asarray(middles[truth] + rng.normal(0, 1.9, (len(truth), 48)))


def _card(name: str, classes: list[str], each: int, removed_overlap: int) -> dict[str, Any]:
    return {
        "name": name,
        "rows": each * len(classes),
        "classes": {label: each - 3 * (place % 4) for place, label in enumerate(classes)},
        "splits": {"pool": 900, "validation": 100, "test": 797},
        "rejected": {"not an image": 2},
        "duplicates": 4,
        "removed_overlap": removed_overlap,
        "image_size": 28,
        "channels": 1,
        "digest": "sha256:9b1c7f0e5a",
        "description": f"Handwritten digits, {name}.",
    }


def _clusters(classes: list[str], ids: list[str]) -> Clusters:
    """Two clusters of W's features, held against raw inputs; the picture is of the first class and of the last."""

    def figure(value: float) -> Figure:
        return Figure(value=value, low=value - 0.05, high=value + 0.05)

    def fit(k: int, ari: float) -> Fit:
        return Fit(k=k, silhouette=figure(0.4), nmi=figure(ari + 0.02), ari=figure(ari), explained=None)

    at_two = {"compared": fit(2, 0.89), "chosen": fit(2, 0.89)}
    parts = [(classes[0], (ids[0], ids[1])), (classes[-1], (ids[2], ids[3]))]
    drawn = [
        Cluster(rows=60 - 20 * n, labelled=50, common=((name, 0.9),), mean=None, sd=None, examples=own)
        for n, (name, own) in enumerate(parts)
    ]
    points = ((0.0, 1.0), (1.0, 0.5), (3.0, -1.0))
    return Clusters(
        kind="class",
        unit="",
        rows=100,
        of=4000,
        labelled=90,
        metric="ari",
        refits=20,
        confidence=0.95,
        sources=(Vectors(source="mnist5k", columns=96, components=8, carried=0.91, gain=figure(0.28), **at_two),),
        raw=Vectors(
            source="", columns=784, components=128, carried=0.8, compared=fit(2, 0.61), chosen=fit(14, 0.5), gain=None
        ),
        shown=Shown(source="mnist5k", clusters=tuple(drawn), points=points, places=(0, 0, 1), shares=(0.5, 0.2)),
    )
