"""Simulated comparisons with a known truth: rows differ in difficulty, entrants differ by row, seeds shift an entrant.

A prediction is right where base + difficulty[row] + taste[entrant, row] + shift[entrant, seed] + noise > 0, with all
parts normal: the probability of being right is a probit, so the true mean accuracy is known in closed form.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

TASTE = 0.5
NOISE = 0.5
SPREAD = np.sqrt(1 + TASTE**2 + NOISE**2)  # s.d. over rows of what decides a prediction, seeds aside


@dataclass(frozen=True)
class Design:
    """seed_sd: s.d. of the seed's difference of two entrants, as a fraction of rows; overlap of the seeds' labels."""

    rows: int = 800
    seeds: int = 5
    seed_sd: float = 0.0
    overlap: float = 0.0
    labels: int = 40
    base: float = 1.2


def shift_scale(design: Design) -> float:
    """The s.d. of one entrant's shift that makes the difference of two vary by seed_sd."""
    slope = norm.pdf(design.base / SPREAD) / SPREAD
    return design.seed_sd / np.sqrt(2) / slope


def true_accuracy(base: float, design: Design) -> float:
    """Mean accuracy over rows and seeds."""
    return float(norm.cdf(base / np.sqrt(SPREAD**2 + shift_scale(design) ** 2)))


def entrants(rng: np.random.Generator, design: Design, bases: list[float]) -> list[np.ndarray]:
    """(seeds, rows) of 0 and 1 for each base; the labelled draws are the same for all, their effects are not."""
    difficulty = rng.normal(size=design.rows)
    draws = labelled_draws(rng, design)
    return [_entrant(rng, design, base, difficulty, draws) for base in bases]


def labelled_draws(rng: np.random.Generator, design: Design) -> np.ndarray:
    """(seeds, labels): which rows of the pool each seed draws; any two have `overlap` of them in common."""
    if design.overlap == 0:
        return np.arange(design.seeds * design.labels).reshape(design.seeds, design.labels)
    pool = round(design.labels / design.overlap)
    return np.stack([rng.permutation(pool)[: design.labels] for _ in range(design.seeds)])


def _entrant(
    rng: np.random.Generator, design: Design, base: float, difficulty: np.ndarray, draws: np.ndarray
) -> np.ndarray:
    effect_of_label = rng.normal(size=draws.max() + 1) * np.sqrt(design.labels)
    shift = shift_scale(design) * effect_of_label[draws].mean(axis=1)[:, None]
    taste = TASTE * rng.normal(size=design.rows)
    noise = NOISE * rng.normal(size=(design.seeds, design.rows))
    return (base + difficulty + taste + shift + noise > 0).astype(float)


def grouped_entrants(
    rng: np.random.Generator, sizes: np.ndarray, seeds: int, group_sd: float
) -> tuple[list[np.ndarray], np.ndarray]:
    """Two equally good entrants that differ by whole groups; and the group of each row."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    pair = []
    for _ in range(2):
        taste = group_sd * rng.normal(size=len(sizes))[groups]
        noise = rng.normal(size=(seeds, len(groups)))
        pair.append((1.0 + taste + noise > 0).astype(float))
    return pair, groups


CLASSES = ["cat", "dog", "owl"]
FAMILIES = {"source": "none", "scratch": "none", "probe": "fine-tuning", "full": "fine-tuning"}


def run_frames(correct: dict[tuple[str, str, int, float], np.ndarray], groups: np.ndarray | None = None) -> dict:
    """The arguments of `evaluate` from (seeds, rows) by (strategy, variant, label budget, progress).

    The truth goes round the classes; a wrong prediction is the next class. 600 FLOPs a scratch training, 300 another.
    """
    rows = next(iter(correct.values())).shape[1]
    truth = pd.DataFrame({"id": [f"r{i:05d}" for i in range(rows)]})
    truth["label"] = [CLASSES[i % 3] for i in range(rows)]
    truth["group"] = truth["id"] if groups is None else [f"g{g:03d}" for g in groups]
    keys = [(*key[:3], seed, key[3]) for key, table in correct.items() for seed in range(len(table))]
    codes = (np.arange(rows) + (np.concatenate(list(correct.values())) == 0)) % 3  # (trainings, rows)
    names = ["strategy", "variant", "label_budget", "seed", "progress"]
    predictions = pd.DataFrame(keys, columns=names).loc[np.repeat(np.arange(len(keys)), rows)].reset_index(drop=True)
    predictions["id"] = np.tile(truth["id"].to_numpy(), len(keys))
    predictions["prediction"] = np.array(CLASSES)[codes.ravel()]
    predictions["probabilities"] = (0.1 + 0.7 * np.eye(3)[codes.ravel()]).tolist()
    return {
        "predictions": predictions,
        "cells": pd.DataFrame([_cell(*key) for key in dict.fromkeys(key[:4] for key in keys)]),
        "labelled": {(b, s): [[f"l{s}-{b}-{i}" for i in range(3 * b)]] for _, _, b, s, _ in keys},
        "truth": truth,
        "classes": CLASSES,
        "families": FAMILIES,
    }


def _cell(strategy: str, variant: str, budget: int, seed: int) -> dict:
    return {
        "strategy": strategy,
        "variant": variant,
        "label_budget": budget,
        "seed": seed,
        "seconds": 2.5,
        "compute": 600.0 if strategy == "scratch" else 300.0,
        "pretraining_compute": 0.0 if strategy == "scratch" else 900.0,
        "train_score": 1.0,
        "validation_score": 0.9,
        "labels": 3 * budget,
    }
